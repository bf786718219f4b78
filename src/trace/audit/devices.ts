import { Histogram } from './histogram.js';
import { MAPPING_NAMES } from './live.js';
import type { DeviceSummary } from './result.js';

/** The device name of mappings that only iommu:* events show. */
export const NO_DEVICE = '(iommu)';

/** What is counted for each device. */
export class DeviceAccount {
  readonly name: string;
  maps = 0;
  unmaps = 0;
  bytes = 0;
  live = 0;
  liveBytes = 0;
  peakLive = 0;
  peakLiveBytes = 0;
  errors = 0;
  readonly byKind = new Float64Array(MAPPING_NAMES.length);
  readonly sizes = new Histogram();
  readonly lifetimes = new Histogram();
  /** Its addresses are physical, or slots of the bounce pool: several mappings may share a page. */
  untranslated = false;
  /** dma_unmap_page events were seen: from then on a missing one is reported. */
  pageUnmaps = 0;
  lowestPage = Number.POSITIVE_INFINITY;
  highestPage = 0;
  private first = Number.NaN;
  private last = Number.NaN;
  private second = -1;
  private inSecond = 0;
  private peakRate = 0;

  constructor(name: string) {
    this.name = name;
  }

  mapped(time: number, size: number, kind: number): void {
    ++this.maps;
    ++this.byKind[kind];
    this.bytes += size;
    this.sizes.add(size);
    this.liveBytes += size;
    if (++this.live > this.peakLive) this.peakLive = this.live;
    if (this.liveBytes > this.peakLiveBytes) this.peakLiveBytes = this.liveBytes;
    if (Number.isNaN(time)) return;
    if (Number.isNaN(this.first)) this.first = time;
    this.last = time;
    const second = Math.floor(time / 1e9);
    if (second !== this.second) {
      this.second = second;
      this.inSecond = 0;
    }
    if (++this.inSecond > this.peakRate) this.peakRate = this.inSecond;
  }

  /** A further entry of the last mapping. */
  extended(size: number): void {
    this.bytes += size;
    this.liveBytes += size;
    if (this.liveBytes > this.peakLiveBytes) this.peakLiveBytes = this.liveBytes;
  }

  /** What counted as one mapping was some more. */
  split(more: number): void {
    this.maps += more;
    this.live += more;
  }

  ended(size: number, lifetime: number): void {
    --this.live;
    this.liveBytes -= size;
    if (lifetime >= 0) this.lifetimes.add(lifetime);
  }

  get summary(): DeviceSummary {
    const spanned = (this.last - this.first) / 1e9;
    return {
      ...{ device: this.name, maps: this.maps, unmaps: this.unmaps, bytes: this.bytes },
      byKind: Object.fromEntries(MAPPING_NAMES.map((name, i) => [name, this.byKind[i]]).filter(([, n]) => n !== 0)),
      ...{ live: this.live, liveBytes: this.liveBytes, peakLiveBytes: this.peakLiveBytes, peakLive: this.peakLive },
      rate: spanned > 0 ? this.maps / spanned : 0,
      ...{ peakRate: this.peakRate, errors: this.errors },
      ...{ sizes: this.sizes.percentiles, lifetimes: this.lifetimes.percentiles },
    };
  }
}
