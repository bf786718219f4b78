/** What is used of jstat, which has no types of its own. */
declare module 'jstat' {
  const jstat: {
    /** Student's t. */
    studentt: {
      /** The value that a share `p` of the distribution is below. */
      inv(p: number, degreesOfFreedom: number): number;
    };
  };
  export default jstat;
}
