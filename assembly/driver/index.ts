// What C drivers import, by file. The host takes gd_attach, gd_shadow_attach and gd_open.

export { gd_attach, gd_pages, gd_refused } from './state';
export {
  gd_frames, gd_hole, gd_low_frames, gd_pages_alloc, gd_pages_free, gd_pfn_virt, gd_vfree, gd_virt_pfn, gd_vmalloc, gd_vmap,
  gd_vunmap,
} from './frames';
export {
  __asan_handle_no_return, __asan_load16_noabort, __asan_load1_noabort, __asan_load2_noabort, __asan_load4_noabort,
  __asan_load8_noabort, __asan_loadN_noabort, __asan_memcpy, __asan_memmove, __asan_memset, __asan_store16_noabort,
  __asan_store1_noabort, __asan_store2_noabort, __asan_store4_noabort, __asan_store8_noabort, __asan_storeN_noabort, gd_block_alloc,
  gd_block_free, gd_check, gd_open, gd_poison, gd_shadow_attach, gd_unpoison,
} from './shadow';
export { gd_check_free } from './owner';
export {
  gd_dma_debug, gd_dma_error, gd_dma_map, gd_dma_map_resource, gd_dma_map_single, gd_dma_masks, gd_dma_max_mapping, gd_dma_merge_boundary,
  gd_dma_opt_mapping, gd_dma_segments, gd_dma_sync, gd_dma_unmap, gd_dma_unmap_resource, gd_now, gd_site_register,
} from './dma';
export { gd_sg_address, gd_sg_begin, gd_sg_gone, gd_sg_length, gd_sg_map, gd_sg_sync, gd_sg_unmap } from './sg';
export { gd_coherent_alloc, gd_coherent_free } from './coherent';
export { gd_bench_core } from './bench';
// Exported so that the batch calls them, as batches of the core's other module do, instead of having their code inside.
export { dmaMapPage, dmaUnmapPage } from '../dma/map';
export { cpuSet } from '../memory/cpu';
