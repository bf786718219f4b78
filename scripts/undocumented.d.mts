/** Public members without a docstring, each as `file: Type.member`, in the order of the files. */
export function undocumented(): string[];
