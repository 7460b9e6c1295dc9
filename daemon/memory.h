// What the C library keeps of memory that was freed.
#pragma once

#include <malloc.h>

namespace autoscale {

// Bytes. By itself the C library raises this threshold to the largest block ever freed, and keeps
// twice as much: the answers for ten thousand services, a few MiB each, would stay for good.
inline constexpr int kMappedFrom = 1 << 20;
inline constexpr int kKeptAtTheTop = 4 << 20;

// Large blocks go back to the system when they are freed. Once, before the first thread starts.
inline void ReturnLargeBlocks() {
  mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  mallopt(M_TRIM_THRESHOLD, kKeptAtTheTop);
}

// Gives back the free pages between the blocks in use; takes milliseconds. A start, or a step of
// all services at once, leaves many.
inline void ReturnFreePages() { malloc_trim(0); }

}  // namespace autoscale
