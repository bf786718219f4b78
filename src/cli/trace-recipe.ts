/** The commands that record what an audit and a replay need, on a kernel of a given version. */

interface Version {
  major: number;
  minor: number;
}

export function parseVersion(text: string): Version | null {
  const match = /^v?(\d+)\.(\d+)/.exec(text.trim());
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : null;
}

function atLeast({ major, minor }: Version, wantedMajor: number, wantedMinor: number): boolean {
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

export function recipe(version: Version): string {
  const dma = atLeast(version, 6, 12);
  const intel = atLeast(version, 5, 4) && !atLeast(version, 5, 12);
  const subbuf = atLeast(version, 6, 8);
  const dump = atLeast(version, 4, 20);
  const systems = [...(dma ? ['dma'] : []), 'iommu', 'swiotlb', ...(intel || dma ? ['intel_iommu'] : [])];
  const lines = [
    `# Linux ${version.major}.${version.minor}: what maps and unmaps, and who`,
    ...(dma
      ? []
      : [
          '# This kernel has no dma:* events (they came with 6.12; distributions may have them: ls /sys/kernel/tracing/events/dma).',
          intel
            ? '# Behind VT-d, intel_iommu:map_* and unmap_* tell the device; elsewhere iommu:* alone tells addresses without one.'
            : '# iommu:map and iommu:unmap tell addresses without a device.',
        ]),
    '',
    '# 1. Buffers: 160 bytes per event as text, 54 in trace.dat. 64 MiB per CPU hold about a million events.',
    ...(subbuf
      ? [
          '#    A list of more than some 500 entries does not fit a sub-buffer of 4 KiB and is dropped in silence: make them larger.',
          'echo 64 > /sys/kernel/tracing/buffer_subbuf_size_kb',
        ]
      : [
          '#    A list of more than some 500 entries does not fit a page of the ring buffer and is dropped in silence.',
        ]),
    '',
    '# 2. Record. Events of one device only, where there are too many:  -f \'device == "0000:03:00.0"\' behind -e dma',
    `trace-cmd record -b 65536 ${systems.map((system) => `-e ${system}`).join(' ')} -o trace.dat -- sleep 10`,
    'gemdma trace trace.dat',
    '',
    '#    Without trace-cmd:',
    'cd /sys/kernel/tracing',
    'echo 65536 > buffer_size_kb; echo > trace',
    ...systems.map((system) => `echo 1 > events/${system}/enable`),
    'sleep 10; echo 0 > tracing_on; cat trace > /tmp/trace.txt',
    '#    From the first mapping on: boot with',
    `#    trace_event=${systems.map((system) => `${system}:*`).join(',')} trace_buf_size=64M`,
    '',
    '# 3. Who maps: a stack at each mapping of the device, at most a thousand of them.',
    ...(dma
      ? ['echo \'stacktrace:1000 if device == "0000:03:00.0"\' > events/dma/dma_map_page/trigger']
      : intel
        ? ['echo \'stacktrace:1000 if dev_name == "0000:03:00.0"\' > events/intel_iommu/map_single/trigger']
        : ['echo stacktrace:1000 > events/iommu/map/trigger']),
    '',
    '# 4. What the trace does not tell: reserved ranges, mode and faults.',
    'cat /sys/kernel/iommu_groups/*/reserved_regions /sys/kernel/iommu_groups/*/type',
    'dmesg > /tmp/dmesg.txt; cat /proc/cmdline; zcat /proc/config.gz | grep -E "^CONFIG_HZ=|IOMMU_DEFAULT"',
    'gemdma trace /tmp/trace.txt /tmp/dmesg.txt',
    ...(dump
      ? [
          '#    With CONFIG_DMA_API_DEBUG, the mappings that are live:',
          'cat /sys/kernel/debug/dma-api/dump > /tmp/dump.txt',
        ]
      : []),
    '',
    '# 5. Too many events for a trace (a 100 Gb/s NIC: tens of millions a second): count in the kernel. Live mappings by stack:',
    ...bpftrace(dma, intel),
  ];
  return lines.join('\n');
}

function bpftrace(dma: boolean, intel: boolean): string[] {
  if (dma) {
    return [
      "bpftrace -e '",
      '  tracepoint:dma:dma_map_page { @at[args.dma_addr] = kstack(6); @bytes[args.dma_addr] = args.size; }',
      '  tracepoint:dma:dma_unmap_page { delete(@at[args.addr]); delete(@bytes[args.addr]); }',
      "  interval:s:10 { exit(); }'",
    ];
  }
  if (intel) {
    return [
      "bpftrace -e '",
      '  tracepoint:intel_iommu:map_single { @at[args->dev_addr] = kstack(6); }',
      '  tracepoint:intel_iommu:unmap_single { delete(@at[args->dev_addr]); }',
      "  interval:s:10 { exit(); }'",
    ];
  }
  return [
    "bpftrace -e '",
    '  tracepoint:iommu:map { @at[args->iova] = kstack(6); }',
    '  tracepoint:iommu:unmap { delete(@at[args->iova]); }',
    "  interval:s:10 { exit(); }'",
  ];
}
