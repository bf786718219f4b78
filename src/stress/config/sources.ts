/** Where a policy or a profile of your own can be found, for the commands and programs that a result prints. */
export interface Sources {
  /** Module of the policy, as a program imports it: a file URL, a path or a package, with `#name` for a named export. */
  policy?: string;
  /** File of the profile, for `--profile`. */
  profile?: string;
}
