// Calls that a format alone has (assembly/index.ts).

export * from '../amdv1/index';
