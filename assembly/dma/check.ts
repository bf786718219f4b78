// Checks devices against domains, and the flush queues of domains.

import { OPS_IOMMU } from '../device/device';
import { devicesOf } from '../device/state';
import { domainOf } from '../iommu/domain';
import { flushQueueCheck } from '../iommu/flush-queue';
import { unitIn } from '../iommu/unit';
import { Context } from '../memory/context';

/** Returns 0; or the number of a device, or the handle of a domain, that is wrong; or by how many attachments differ. */
export function dmaCheck(ctx: Context): u32 {
  let attached: u32 = 0;
  for (let at = devicesOf(ctx).devices; at != null; at = at!.next) {
    const dev = at;
    const domain = domainOf(dev);
    if ((dev.ops == OPS_IOMMU) != (domain != null && domain.cookie != null)) return dev.id;
    if (domain != null && domain.cookie != null) ++attached;
  }
  const unit = unitIn(ctx);
  if (unit == null) return attached;
  for (let at = unit.domains; at != null; at = at!.next) {
    const cookie = at.cookie;
    if (cookie != null && cookie.queue != null && flushQueueCheck(cookie.queue!) != 0) return <u32>changetype<usize>(at);
    if (cookie != null) attached -= at.attached;
  }
  return attached;
}
