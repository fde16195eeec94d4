#pragma once

namespace archway::scheduler {

// The natural logarithm of a positive, finite number, bit for bit the same on every processor and with every C
// library, and the same as the scheduler's own (FreeBSD's e_log.c method, which Go uses too).
double portable_log(double value);

}  // namespace archway::scheduler
