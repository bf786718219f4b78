// What a call's searches have cost, as an event before that of the call (memory/search-cost.ts).

import { DmaDevice } from '../device/device';
import { EVENT_SEARCH, emit } from '../events/events';
import { SearchCost } from '../memory/search-cost';

export function tellSearch(dev: DmaDevice): void {
  const ctx = dev.ctx;
  if (ctx.searchCost == 0) return;
  const cost = changetype<SearchCost>(ctx.searchCost);
  if ((cost.nodesNow | cost.slotsNow) != 0) emit(ctx, EVENT_SEARCH, dev.id, cost.nodesNow, cost.slotsNow, 0, 0, 0);
  cost.nodesNow = 0;
  cost.slotsNow = 0;
}
