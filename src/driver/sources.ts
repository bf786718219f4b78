/** The C runtime (src/driver/c/runtime), and the headers that own mode answers for. */

/** Includes the other files of its folder. */
export const RUNTIME = 'all.c';

const LINUX = `
atomic bitfield bitmap bitops bits bug cache compiler compiler_types completion ctype delay device device/driver dma-buf dma-direction
dma-map-ops dma-mapping dmaengine dmapool err errno etherdevice ethtool export firmware gfp highmem if_ether if_vlan init
interrupt io io-64-nonatomic-lo-hi iopoll iosys-map irq irqreturn jiffies kernel kref kthread ktime limits list list_sort log2 math
math64 minmax mm mod_devicetable module moduleparam mutex netdevice of of_device overflow page-flags pci pci_ids pfn platform_device
pm pm_runtime poison prefetch printk property random ratelimit refcount rtnetlink sched scatterlist seq_file shmem_fs sizes skbuff slab smp
spinlock spinlock_types stddef string string_helpers swab swiotlb time timer types uaccess vmalloc wait workqueue moduleloader mempool
`
  .trim()
  .split(/\s+/);

export const OWN_HEADERS: readonly string[] = [
  ...LINUX.map((name) => `linux/${name}.h`),
  'asm/barrier.h',
  'asm/byteorder.h',
  'asm/cacheflush.h',
  'asm/io.h',
  'asm/page.h',
  'asm/unaligned.h',
  'drm/drm_device.h',
  'drm/drm_drv.h',
  'drm/drm_file.h',
  'drm/drm_gem.h',
  'drm/drm_gem_shmem_helper.h',
  'drm/drm_prime.h',
  'drm/drm_print.h',
  'net/ip.h',
  'uapi/linux/if_ether.h',
];

/** Functions of the runtime with a constant result, and the result. */
export const CONSTANT: Readonly<Record<string, string>> = {
  pci_set_master: 'notes it',
  pci_save_state: '0',
  pci_restore_state: 'nothing happens',
  pci_set_power_state: '0',
  pci_clear_mwi: 'nothing happens',
  pci_get_device: 'NULL: the device is alone',
  mii_check_media: 'a link that is up',
  mii_link_ok: '1',
  generic_mii_ioctl: '-EOPNOTSUPP',
  rtnl_lock: 'nothing happens: one thread',
  netif_carrier_ok: 'what the driver has noted',
  synchronize_irq: 'nothing happens: no interrupt runs meanwhile',
  dma_get_required_mask: '32 bits',
  netif_carrier_on: 'notes it',
  netif_carrier_off: 'notes it',
};
