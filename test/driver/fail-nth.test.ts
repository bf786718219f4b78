import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCompiler } from '../../dist/driver/compiler.js';
// The built package: the worker of fail-nth must be JavaScript.
import { buildDriver, driverFailNth, failNthText } from '../../dist/driver/index.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();
const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const compiler = await findCompiler().catch(() => null);

const SOURCE = `
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/pci.h>
#include <linux/dma-mapping.h>

static struct device *dev;

/* Tries again for ever when mapping fails. */
int stubborn(void)
{
	void *buffer = kmalloc(64, GFP_KERNEL);
	volatile int tries = 0;
	dma_addr_t dma;

	if (!buffer)
		return -ENOMEM;
	dma = dma_map_single(dev, buffer, 64, DMA_TO_DEVICE);
	while (dma_mapping_error(dev, dma))
		tries++;
	dma_unmap_single(dev, dma, 64, DMA_TO_DEVICE);
	kfree(buffer);
	return 0;
}

/* Keeps an address in 32 bits, where an error of 64 is none. */
int narrow(void)
{
	void *buffer = kmalloc(64, GFP_KERNEL);
	u32 dma;

	if (!buffer)
		return -ENOMEM;
	dma = dma_map_single(dev, buffer, 64, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, dma)) {
		kfree(buffer);
		return -ENOMEM;
	}
	dma_unmap_single(dev, dma, 64, DMA_TO_DEVICE);
	kfree(buffer);
	return 0;
}

static int probe(struct pci_dev *p, const struct pci_device_id *id)
{
	dev = &p->dev;
	return 0;
}
static void remove(struct pci_dev *p) { }
static const struct pci_device_id ids[] = { { PCI_DEVICE(0x1234, 0x0001) }, { } };
static struct pci_driver driver = { .name = "x", .id_table = ids, .probe = probe, .remove = remove };
module_pci_driver(driver);
`;

async function failed(act: string, dmaBits: 32 | 64) {
  const source = join(folder, 'driver.c');
  const scenario = join(folder, `${act}.mjs`);
  writeFileSync(source, SOURCE);
  writeFileSync(scenario, `export default { run: (t) => void t.call('${act}') };\n`);
  const { wasm } = await buildDriver({ files: [source], cache, dmaBits });
  return driverFailNth(wasm, scenario, { dmaBits, timeLimit: 1500 });
}

describe.skipIf(compiler === null)('fail-nth of a driver (needs clang)', { timeout: 300_000 }, () => {
  test('a driver that loops for ever is told with the failure that led to it, and the others go on', async () => {
    const { baseline, failures, points, tried } = await failed('stubborn', 64);
    expect({ baseline, points, tried }).toEqual({ baseline: [], points: 2, tried: 2 });
    expect(failures.map(({ finding, point }) => [finding.id, finding.at?.func, point.kind])).toEqual([
      ['HANG', 'stubborn', 'dma_map'],
    ]);
  });

  test('an error that is kept in 32 bits shows with a 64-bit dma_addr_t only, and is called what it is', async () => {
    const wide = await failed('narrow', 64);
    expect(wide.failures.map(({ finding }) => finding.id)).toEqual(['UNMAP_UNKNOWN']);
    expect(failNthText(wide, { command: 'gemdma driver run x.wasm --test x.mjs' })).toMatch(
      /at 0xffffffff \(DMA_MAPPING_ERROR, truncated to 32 bits\)[\s\S]*when the mapping in narrow [\s\S]*--nth 2/,
    );
    expect((await failed('narrow', 32)).failures).toEqual([]);
  });
});
