// What the host uses of each format (assembly/contract.ts).

export * from '../amdv1/contract';
export * from '../vtd/contract';
