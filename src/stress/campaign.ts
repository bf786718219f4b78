import { invalidValue } from '../core/errors.js';
import type { StressResult } from './stress.js';

/**
 * Many seeds over many machines. A campaign is a row of seeds; shard I of N takes every N-th of them, from the I-th on,
 * so that each job of a job array or CI matrix can run one by its number, without a server that hands out work. Each seed's
 * result is one line of JSON; lines from anywhere, in any order, are summed.
 */

export interface Shard {
  /** From 1 to `of`. */
  index: number;
  of: number;
}

/** Reads `I/N`. Throws ERR_INVALID_ARG_VALUE. */
export function parseShard(text: string): Shard {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const shard = { index: Number(match?.[1]), of: Number(match?.[2]) };
  if (!match || shard.index < 1 || shard.index > shard.of) {
    throw invalidValue('shard', "I/N with I from 1 to N, such as '3/8'", text);
  }
  return shard;
}

/** The seeds of one shard of a campaign of `count` seeds from `first` on. */
export function shardSeeds(first: number, count: number, shard: Shard = { index: 1, of: 1 }): number[] {
  const seeds: number[] = [];
  for (let i = shard.index - 1; i < count; i += shard.of) seeds.push((first + i) >>> 0);
  return seeds;
}

/** The campaign of which a result is part: seeds from `first` on, and the shard that ran it. */
export interface Campaign {
  first: number;
  seeds: number;
  shard: Shard;
}

/** A result as a campaign writes it, one per line. */
export type CampaignResult = StressResult & { campaign?: Campaign };

/** What a campaign came to. */
export interface CampaignSum {
  runs: number;
  /** Seeds of runs without an operation, which show nothing. */
  idle: number[];
  operations: number;
  checks: number;
  done: Record<string, number>;
  refused: Record<string, number>;
  /** Runs that failed, one for each kind of failure, with the number of seeds that had it and the smallest of them. */
  failures: { kind: string; id: string; message: string; runs: number; seed: number; step: number; replay: string }[];
  /** Seeds that occur more than once with different results: the run was not deterministic. */
  differing: number[];
  /**
   * Seeds of the campaigns for which there is no result, and the shards that should have them; null when the results do not
   * show it.
   */
  missing: { seeds: number; of: number; shards: string[] } | null;
}

/** Sums the results of runs; the order in which they come does not matter. A result that comes twice counts once. */
export function sumResults(results: readonly CampaignResult[]): CampaignSum {
  const sum: CampaignSum = {
    ...{ runs: 0, idle: [], operations: 0, checks: 0, done: {}, refused: {}, failures: [], differing: [] },
    missing: missingOf(results),
  };
  const seen = new Map<string, string>();
  const failures = new Map<string, CampaignSum['failures'][number]>();
  for (const result of [...results].sort((a, b) => a.seed - b.seed)) {
    const key = JSON.stringify([result.profile, result.seed, result.subject, result.config]);
    const { timing: _, campaign: __, ...counted } = result;
    const text = JSON.stringify(counted);
    const before = seen.get(key);
    if (before !== undefined) {
      if (before !== text && !sum.differing.includes(result.seed)) sum.differing.push(result.seed);
      continue;
    }
    seen.set(key, text);
    ++sum.runs;
    if (result.operations === 0 && result.failure === null) sum.idle.push(result.seed);
    sum.operations += result.operations;
    sum.checks += result.checks;
    add(sum.done, result.done);
    add(sum.refused, result.refused);
    if (result.failure) {
      const { kind, id, message, step } = result.failure;
      const known = failures.get(`${kind} ${id}`);
      if (known) ++known.runs;
      else
        failures.set(`${kind} ${id}`, { kind, id, message, runs: 1, seed: result.seed, step, replay: result.replay });
    }
  }
  sum.failures = [...failures.values()].sort((a, b) => b.runs - a.runs || a.seed - b.seed);
  return sum;
}

function add(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(from)) to[name] = (to[name] ?? 0) + count;
}

/** What is missing of the campaigns that results name. Campaigns are distinguished by all that their runs have in common. */
function missingOf(results: readonly CampaignResult[]): CampaignSum['missing'] {
  if (results.length === 0 || results.some(({ campaign }) => campaign === undefined)) return null;
  const campaigns = new Map<string, { campaign: Campaign; there: Set<number> }>();
  for (const { campaign, profile, subject, seed, config } of results) {
    const { first, seeds, shard } = campaign!;
    const { seed: _, machine, ...common } = config;
    const key = JSON.stringify([first, seeds, shard.of, profile, subject, { ...machine, seed: 0 }, common]);
    const known = campaigns.get(key) ?? { campaign: campaign!, there: new Set<number>() };
    campaigns.set(key, known);
    known.there.add(seed);
  }
  const missing = { seeds: 0, of: 0, shards: [] as string[] };
  for (const { campaign, there } of campaigns.values()) {
    const { first, seeds, shard } = campaign;
    missing.of += seeds;
    for (let index = 1; index <= shard.of; ++index) {
      const lost = shardSeeds(first, seeds, { index, of: shard.of }).filter((seed) => !there.has(seed));
      if (lost.length > 0) missing.shards.push(`${index}/${shard.of}`);
      missing.seeds += lost.length;
    }
  }
  return missing;
}
