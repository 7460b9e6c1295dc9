// What sanitizers cost: a program under one is slower and larger, and not wrong for that.
#pragma once

namespace autoscale {

#if defined(__SANITIZE_THREAD__)
inline constexpr int kSlower = 4;  // times: what a test gives a program to answer in
inline constexpr int kLarger = 4;  // times: the memory that a program may take
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr int kSlower = 2;
inline constexpr int kLarger = 4;
#else
inline constexpr int kSlower = 1;
inline constexpr int kLarger = 1;
#endif

}  // namespace autoscale
