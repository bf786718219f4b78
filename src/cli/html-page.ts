import { createHash } from 'node:crypto';

/**
 * A report as one HTML file: no script, nothing loaded, and a content security policy that says so. Charts are SVG
 * (html-charts.ts) with the colours of the classes below.
 */

/** A part of a report. */
export interface Section {
  title: string;
  /** HTML, already escaped. */
  body: string;
}

export interface Report {
  title: string;
  /** One line under the title. */
  summary: string;
  sections: Section[];
  /** What the report was made of, shown as JSON at its end. */
  data: unknown;
}

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --soft: #57606a; --line: #d0d7de; --a: #0b5cad; --b: #a04100; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --soft: #9aa6b2; --line: #3d444d; --a: #6cb6ff; --b: #f0a35e; --bad: #ff8a80; } }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 16px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } p { margin: .4rem 0; }
.soft, figcaption { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--text); font-size: 12px; } svg .axis { stroke: var(--line); fill: none; }
.a { fill: var(--a); } .b { fill: var(--b); } .lost { fill: var(--bad); } .line { fill: none; stroke-width: 2; } .line.a { stroke: var(--a); } .line.b { stroke: var(--b); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); } td.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); }
`;

export function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}

/** A table; cells that are numbers stand at the right. */
export function htmlTable(caption: string, head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cell = (value: unknown): string =>
    typeof value === 'number'
      ? `<td class="n">${value.toLocaleString('en-US', { maximumFractionDigits: 2 })}</td>`
      : `<td>${escapeHtml(value)}</td>`;
  const heads = head.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n');
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table>
<thead><tr>${heads}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/**
 * The file.
 * @param words of the command line, which run it again
 */
export function htmlPage({ title, summary, sections, data }: Report, words: readonly string[]): string {
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const again = ['gemdma', ...words].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  const parts = [
    ...sections,
    { title: 'Run it again', body: `<pre tabindex="0">${escapeHtml(again.join(' '))}</pre>` },
    {
      title: 'Figures and configuration',
      body: `<details><summary>JSON</summary><pre tabindex="0">${escapeHtml(JSON.stringify(data, null, 1))}</pre></details>`,
    },
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(title)}</h1><p class="soft">${escapeHtml(summary)}</p>
${parts.map((part) => `<section><h2>${escapeHtml(part.title)}</h2>\n${part.body}\n</section>`).join('\n')}
</main></body></html>
`;
}
