/** Which compiler: the first there is, or one of the two. */
export type CompilerChoice = 'auto' | 'system' | 'npm';
