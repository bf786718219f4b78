// The same for the tools (assembly/tools.ts).

export * from '../amdv1/tools';
