import { DEFAULT_KERNEL, KERNELS, type KernelProperties, kernelOf } from '../../kernels/kernels.js';
import { FieldReader, type Recording } from './recording.js';

/**
 * What the kernel that a recording was made on does, as far as one property is concerned. A header that names no kernel means
 * the newest: only older ones need telling apart.
 * @throws RecordingError for a kernel whose behaviour is not emulated
 */
export function kernelOfRecording(recording: Recording, property: keyof KernelProperties): KernelProperties {
  const { kernel } = recording.header;
  if (kernel === undefined) return KERNELS[DEFAULT_KERNEL];
  const found = kernelOf(property, String(kernel));
  if (found !== undefined) return found;
  const reader = new FieldReader(recording);
  if (!/^\d+\.\d+/.test(String(kernel))) reader.fail(1, `kernel is not a version: ${kernel}`);
  return reader.fail(1, `kernel ${kernel} is not emulated, as far as its ${property} is concerned`);
}
