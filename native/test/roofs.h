// What one machine can do at most, in GFLOP/s and GB/s: multiply-adds from registers, reads by size of the working set, the
// STREAM triad. Best of several; one thread is timed by its CPU time, several by wall time.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace cragru {
std::vector<std::pair<std::string, double>> measureRoofs(unsigned threads);
}
