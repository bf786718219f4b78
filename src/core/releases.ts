/** A release of Linux as one number that orders releases; undefined for a text that is none. */
export function releaseOf(version: string): number | undefined {
  const match = /^(\d+)\.(\d+)/.exec(version);
  return match === null ? undefined : Number(match[1]) * 1000 + Number(match[2]);
}
