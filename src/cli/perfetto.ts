import { PbfWriter } from 'pbf';
import { PAGE_SIZE as PAGE } from '../core/generated/constants.js';
import { EVENT, type EventNumber, ROW, type TraceBatch } from '../trace/batches/batch.js';

/**
 * A trace as Perfetto shows it: TrackEvent protobuf (perfetto/trace/track_event/track_event.proto). Each device is a group of
 * tracks; mappings that overlap in time lie on different lanes of it, since slices of one track must nest. Bytes that live and
 * mappings that live are counters.
 */

/** Field numbers of the messages that are written. */
const TRACE = { packet: 1 } as const;
const PACKET = { timestamp: 8, sequenceId: 10, trackEvent: 11, sequenceFlags: 13, trackDescriptor: 60 } as const;
const DESCRIPTOR = { uuid: 1, name: 2, parentUuid: 5, counter: 8 } as const;
const COUNTER = { unit: 3 } as const;
const UNIT_COUNT = 2;
const UNIT_BYTES = 3;
const TRACK_EVENT = { annotations: 4, type: 9, trackUuid: 11, categories: 22, name: 23, counterValue: 30 } as const;
const ANNOTATION = { stringValue: 6, uintValue: 3, pointerValue: 7, name: 10 } as const;
const SLICE_BEGIN = 1;
const SLICE_END = 2;
const INSTANT = 3;
const COUNTER_EVENT = 4;
/** SEQ_INCREMENTAL_STATE_CLEARED. */
const STATE_CLEARED = 1;
const SEQUENCE = 1;

const NAMES: Partial<Record<EventNumber, string>> = {
  ...{ [EVENT.MAP_PAGE]: 'page', [EVENT.MAP_RESOURCE]: 'resource', [EVENT.MAP_SG]: 'sg', [EVENT.ALLOC]: 'coherent' },
  ...{ [EVENT.ALLOC_PAGES]: 'coherent', [EVENT.ALLOC_SGT]: 'coherent' },
};

interface Lane {
  uuid: number;
  busy: boolean;
}

interface DeviceTracks {
  uuid: number;
  lanes: Lane[];
  bytes: number;
  count: number;
  bytesUuid: number;
  countUuid: number;
  /** Live mappings by address; lists by their first entry as well. */
  live: Map<string, { lane: Lane; size: number }>;
}

export class PerfettoWriter {
  private readonly pbf = new PbfWriter();
  private readonly devices = new Map<string, DeviceTracks>();
  private readonly names: string[][] = [];
  private nextUuid = 1;
  private first = true;

  /** Takes a batch of a trace. `input` as for Audit.add. */
  add(batch: TraceBatch, input = 0): void {
    const names = (this.names[input] ??= ['']);
    batch.strings.forEach((name, i) => {
      names[batch.firstString + i] = name;
    });
    for (let row = 0; row < batch.length; ++row) this.row(batch, row, names);
  }

  /** The file. */
  finish(): Uint8Array {
    return this.pbf.finish();
  }

  private row(batch: TraceBatch, row: number, names: readonly string[]): void {
    const kind = batch.kind[row] as EventNumber;
    const time = batch.time[row];
    if (!(time >= 0)) return;
    const device = names[batch.device[row]];
    const address = batch.page[row] * PAGE + batch.offset[row];
    switch (kind) {
      case EVENT.MAP_PAGE:
      case EVENT.MAP_RESOURCE:
      case EVENT.MAP_SG:
      case EVENT.ALLOC:
      case EVENT.ALLOC_PAGES:
      case EVENT.ALLOC_SGT: {
        if ((batch.flags[row] & ROW.ADDRESS) === 0) return;
        const key = batch.entries[row] > 0 ? `l${batch.values[batch.list[row]]}` : `a${address}`;
        this.begin(this.tracks(device, time), key, time, `${NAMES[kind]} ${batch.size[row]}`, {
          ...{ address, size: batch.size[row], task: names[batch.task[row]] },
          physical: batch.physical[row],
        });
        return;
      }
      case EVENT.UNMAP_PAGE:
      case EVENT.UNMAP_RESOURCE:
      case EVENT.FREE:
      case EVENT.FREE_PAGES:
      case EVENT.FREE_SGT:
      case EVENT.UNMAP_SG: {
        const key = batch.entries[row] > 0 ? `l${batch.values[batch.list[row]]}` : `a${address}`;
        this.end(this.tracks(device, time), key, time);
        return;
      }
      case EVENT.FAULT:
        this.event(this.tracks(device, time).uuid, time, INSTANT, `fault 0x${address.toString(16)}`);
    }
  }

  private tracks(device: string, time: number): DeviceTracks {
    let tracks = this.devices.get(device);
    if (tracks === undefined) {
      const uuid = this.track(device || 'unknown', time);
      tracks = {
        ...{ uuid, lanes: [], bytes: 0, count: 0, live: new Map() },
        bytesUuid: this.track(`${device} mapped bytes`, time, uuid, UNIT_BYTES),
        countUuid: this.track(`${device} live mappings`, time, uuid, UNIT_COUNT),
      };
      this.devices.set(device, tracks);
    }
    return tracks;
  }

  private track(name: string, time: number, parent = 0, unit = 0): number {
    const uuid = this.nextUuid++;
    this.packet(time, (packet) => {
      packet.writeMessage(
        PACKET.trackDescriptor,
        (_, pbf) => {
          pbf.writeVarintField(DESCRIPTOR.uuid, uuid);
          pbf.writeStringField(DESCRIPTOR.name, name);
          if (parent > 0) pbf.writeVarintField(DESCRIPTOR.parentUuid, parent);
          if (unit > 0)
            pbf.writeMessage(DESCRIPTOR.counter, (_it, counter) => counter.writeVarintField(COUNTER.unit, unit), null);
        },
        null,
      );
    });
    return uuid;
  }

  private begin(
    tracks: DeviceTracks,
    key: string,
    time: number,
    name: string,
    details: { address: number; size: number; task: string; physical: number },
  ): void {
    // The one before at that address has ended unseen.
    this.end(tracks, key, time);
    let lane = tracks.lanes.find(({ busy }) => !busy);
    if (lane === undefined) {
      lane = { uuid: this.track(`lane ${tracks.lanes.length}`, time, tracks.uuid), busy: false };
      tracks.lanes.push(lane);
    }
    lane.busy = true;
    tracks.live.set(key, { lane, size: details.size });
    tracks.bytes += details.size;
    ++tracks.count;
    this.event(lane.uuid, time, SLICE_BEGIN, name, details);
    this.counters(tracks, time);
  }

  private end(tracks: DeviceTracks, key: string, time: number): void {
    const mapping = tracks.live.get(key);
    if (mapping === undefined) return;
    tracks.live.delete(key);
    mapping.lane.busy = false;
    tracks.bytes -= mapping.size;
    --tracks.count;
    this.event(mapping.lane.uuid, time, SLICE_END);
    this.counters(tracks, time);
  }

  private counters(tracks: DeviceTracks, time: number): void {
    this.counter(tracks.bytesUuid, time, tracks.bytes);
    this.counter(tracks.countUuid, time, tracks.count);
  }

  private counter(uuid: number, time: number, value: number): void {
    this.packet(time, (packet) => {
      packet.writeMessage(
        PACKET.trackEvent,
        (_, pbf) => {
          pbf.writeVarintField(TRACK_EVENT.type, COUNTER_EVENT);
          pbf.writeVarintField(TRACK_EVENT.trackUuid, uuid);
          pbf.writeVarintField(TRACK_EVENT.counterValue, value);
        },
        null,
      );
    });
  }

  private event(
    uuid: number,
    time: number,
    type: number,
    name?: string,
    details?: { address: number; size: number; task: string; physical: number },
  ): void {
    this.packet(time, (packet) => {
      packet.writeMessage(
        PACKET.trackEvent,
        (_, pbf) => {
          pbf.writeVarintField(TRACK_EVENT.type, type);
          pbf.writeVarintField(TRACK_EVENT.trackUuid, uuid);
          if (name === undefined) return;
          pbf.writeStringField(TRACK_EVENT.categories, 'dma');
          pbf.writeStringField(TRACK_EVENT.name, name);
          if (details === undefined) return;
          annotate(pbf, 'address', ANNOTATION.pointerValue, details.address);
          if (details.physical >= 0) annotate(pbf, 'physical', ANNOTATION.pointerValue, details.physical);
          annotate(pbf, 'size', ANNOTATION.uintValue, details.size);
          if (details.task) annotate(pbf, 'task', ANNOTATION.stringValue, details.task);
        },
        null,
      );
    });
  }

  private packet(time: number, write: (pbf: PbfWriter) => void): void {
    this.pbf.writeMessage(
      TRACE.packet,
      (_, pbf) => {
        pbf.writeVarintField(PACKET.timestamp, Math.round(time));
        pbf.writeVarintField(PACKET.sequenceId, SEQUENCE);
        if (this.first) pbf.writeVarintField(PACKET.sequenceFlags, STATE_CLEARED);
        this.first = false;
        write(pbf);
      },
      null,
    );
  }
}

function annotate(pbf: PbfWriter, name: string, field: number, value: number | string): void {
  pbf.writeMessage(
    TRACK_EVENT.annotations,
    (_, it) => {
      it.writeStringField(ANNOTATION.name, name);
      if (typeof value === 'string') it.writeStringField(field, value);
      else it.writeVarintField(field, value);
    },
    null,
  );
}
