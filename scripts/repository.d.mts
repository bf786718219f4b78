/** Files that say where the project lives, by their paths, as they should be. */
export function withRepository(repository?: string): Map<string, string>;
