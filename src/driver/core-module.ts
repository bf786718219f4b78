import { wasm } from '../core/generated/release-driver.js';
import { compile } from '../core/instance.js';

/** The core's module for C drivers (assembly/driver): compiled on first use. */
export interface DriverCoreExports {
  gd_attach(context: number, flags: number): number;
  gd_shadow_attach(): void;
  gd_open(at: number, bytes: number): void;
  gd_refused(): number;
  gd_virt_pfn(at: number): number;
  gd_bench_core(device: number, pfns: number, addresses: number, n: number, rounds: number): number;
}

let module: WebAssembly.Module | undefined;

export function driverCore(): WebAssembly.Module {
  return (module ??= compile(wasm));
}
