// <sys/pidfd.h> for C++: glibc 2.36 forgot its extern "C".
#pragma once

// What it includes has its own.
#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>

extern "C" {
#include <sys/pidfd.h>
}
