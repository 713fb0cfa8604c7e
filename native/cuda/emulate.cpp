#include "emulate.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cragru {
namespace emulate {

uint32_t order = 2;
size_t memoryLimit = size_t(1) << 32;
size_t memoryInUse = 0;
int failNext = 0;

namespace {

enum class State { ready, barrier, warp, done };

struct Fiber {
  void* stack = nullptr;
#if defined(__x86_64__)
  void* pointer = nullptr;  // saved stack pointer
#else
  ucontext_t context;
#endif
  State state = State::done;
  const char* file = nullptr;
  int line = 0;
  WarpCall call = WarpCall::sync;
  unsigned mask = 0, source = 0;
  uint64_t value = 0, result = 0;
};

constexpr size_t STACK = 256 * 1024;
constexpr size_t GUARD = 256;
std::vector<Fiber> fibers;
size_t threads = 0, current = 0;
#if defined(__x86_64__)
void* scheduler = nullptr;
#else
ucontext_t scheduler;
#endif
const std::function<void()>* work = nullptr;
const char* kernelName = "";
std::vector<unsigned char> sharedMemory;
uint32_t randomState = 1;

uint32_t random(uint32_t below) {
  randomState = randomState * 1664525u + 1013904223u;
  return uint32_t((uint64_t(randomState) * below) >> 32);
}

void arrange(std::vector<uint32_t>& numbers) {
  for (size_t at = 0; at < numbers.size(); at++) numbers[at] = uint32_t(order == 1 ? numbers.size() - 1 - at : at);
  if (order < 2) return;
  for (size_t at = numbers.size(); at > 1; at--) std::swap(numbers[at - 1], numbers[random(uint32_t(at))]);
}

std::string where() {
  char text[200];
  std::snprintf(text, sizeof text, "kernel %s, block %u %u, thread %u", kernelName, blockIdx.x, blockIdx.y, unsigned(current));
  return text;
}

}  // namespace

void stop(const char* text) {
  std::fprintf(stderr, "emulated GPU: %s\n", text);
  std::abort();
}

#if defined(__x86_64__)
extern "C" void cragru_emulate_switch(void** save, void* load);
asm(".text\n.globl cragru_emulate_switch\n.type cragru_emulate_switch,@function\ncragru_emulate_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size cragru_emulate_switch,.-cragru_emulate_switch\n");
#endif

namespace {

void leave() {
#if defined(__x86_64__)
  cragru_emulate_switch(&fibers[current].pointer, scheduler);
#else
  swapcontext(&fibers[current].context, &scheduler);
#endif
}

void main() {
  (*work)();
  fibers[current].state = State::done;
  leave();
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) {
    // The lowest page stays closed: a stack that grows too far stops there.
    fiber.stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber.stack == MAP_FAILED) stop("no memory for stacks");
    mprotect(fiber.stack, 4096, PROT_NONE);
  }
  fiber.state = State::ready;
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(static_cast<char*>(fiber.stack) + STACK);
  *--top = nullptr;  // keeps the alignment that a call would leave
  *--top = reinterpret_cast<void*>(main);
  for (int at = 0; at < 6; at++) *--top = nullptr;
  fiber.pointer = top;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = STACK;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, main, 0);
#endif
}

void resume(size_t number) {
  current = number;
  threadIdx = dim3(unsigned(number) % blockDim.x, unsigned(number) / blockDim.x % blockDim.y, unsigned(number) / (blockDim.x * blockDim.y));
#if defined(__x86_64__)
  cragru_emulate_switch(&scheduler, fibers[number].pointer);
#else
  swapcontext(&scheduler, &fibers[number].context);
#endif
}

// All waiting: opens the barrier, or explains why it can never open.
void openBarrier() {
  const Fiber* first = nullptr;
  for (size_t at = 0; at < threads; at++) {
    const Fiber& fiber = fibers[at];
    current = at;
    if (fiber.state == State::warp) stop((where() + ", line " + std::to_string(fiber.line) + " waits for lanes that never come").c_str());
    if (fiber.state == State::done) stop((where() + " ended while others wait at a barrier").c_str());
    if (!first) first = &fiber;
    if (fiber.line != first->line || fiber.file != first->file) {
      stop((where() + ": barriers of lines " + std::to_string(first->line) + " and " + std::to_string(fiber.line) + " at once").c_str());
    }
  }
  for (size_t at = 0; at < threads; at++) fibers[at].state = State::ready;
}

void runBlock(size_t sharedBytes) {
  std::fill(sharedMemory.begin(), sharedMemory.end(), 0xff);
  for (size_t at = 0; at < threads; at++) prepare(fibers[at]);
  std::vector<uint32_t> numbers(threads);
  for (size_t left = threads; left > 0;) {
    arrange(numbers);
    bool moved = false;
    for (const uint32_t number : numbers) {
      if (fibers[number].state != State::ready) continue;
      moved = true;
      resume(number);
      if (fibers[number].state == State::done) left--;
    }
    if (!moved) openBarrier();
  }
  for (size_t at = 0; at < GUARD; at++) {
    if (sharedMemory[sharedBytes + at] != 0xff) stop((where() + " wrote beyond its shared memory").c_str());
  }
}

}  // namespace

void barrier(const char* file, int line) {
  Fiber& fiber = fibers[current];
  fiber.state = State::barrier;
  fiber.file = file;
  fiber.line = line;
  leave();
}

unsigned lane() { return unsigned(current) & 31u; }
unsigned char* shared() { return sharedMemory.data(); }

uint64_t warp(WarpCall call, unsigned mask, uint64_t value, unsigned source, int line) {
  const size_t first = current / 32 * 32;
  Fiber& own = fibers[current];
  if (!(mask >> lane() & 1u)) stop((where() + " is not in its own warp mask, line " + std::to_string(line)).c_str());
  if (call == WarpCall::shuffle && !(mask >> source & 1u)) stop((where() + " reads a lane outside the mask, line " + std::to_string(line)).c_str());
  own.state = State::warp;
  own.call = call;
  own.mask = mask;
  own.value = value;
  own.source = source;
  own.line = line;
  bool complete = true;
  for (unsigned at = 0; at < 32 && complete; at++) {
    if (!(mask >> at & 1u)) continue;
    if (first + at >= threads) stop((where() + " names lanes that the block does not have, line " + std::to_string(line)).c_str());
    const Fiber& other = fibers[first + at];
    complete = other.state == State::warp && other.mask == mask;
    if (complete && (other.call != call || other.line != line)) {
      stop((where() + ": warp calls of lines " + std::to_string(line) + " and " + std::to_string(other.line) + " at once").c_str());
    }
  }
  if (!complete) {
    leave();
    return own.result;
  }
  for (unsigned at = 0; at < 32; at++) {
    if (!(mask >> at & 1u)) continue;
    Fiber& other = fibers[first + at];
    other.result = 0;
    if (call == WarpCall::shuffle) other.result = fibers[first + other.source].value;
    for (unsigned from = 0; from < 32 && (call == WarpCall::ballot || call == WarpCall::match); from++) {
      if (!(mask >> from & 1u)) continue;
      const uint64_t theirs = fibers[first + from].value;
      if (call == WarpCall::ballot ? theirs != 0 : theirs == other.value) other.result |= uint64_t(1) << from;
    }
    other.state = State::ready;
  }
  return own.result;
}

void runGrid(const char* kernel, dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread) {
  kernelName = kernel;
  gridDim = grid;
  blockDim = block;
  work = &thread;
  threads = size_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024) stop("a block has 1 to 1024 threads");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffffu) stop("grid out of range");
  if (sharedBytes > 163 * 1024) stop("more shared memory than the smallest supported GPU gives");
  if (fibers.size() < threads) fibers.resize(threads);
  sharedMemory.assign(sharedBytes + GUARD, 0xff);
  randomState = order * 2654435761u + 1u;
  std::vector<uint32_t> blocks(size_t(grid.x) * grid.y * grid.z);
  arrange(blocks);
  for (const uint32_t number : blocks) {
    blockIdx = dim3(number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y));
    runBlock(sharedBytes);
  }
  kernelName = "";
}

}  // namespace emulate
}  // namespace cragru

// ---- the runtime ----

struct EmulatedStream {
  std::deque<std::function<void()>> queue;
};
struct EmulatedEvent {
  EmulatedStream* stream = nullptr;
};

namespace cragru {
namespace emulate {
namespace {

constexpr size_t PAGE = 4096;
struct Allocation {
  char* base;
  size_t pages, bytes;
};
std::map<const char*, Allocation> allocations;  // by the address handed out

void protect(int mode) {
  for (const auto& entry : allocations) mprotect(entry.second.base, entry.second.pages * PAGE, mode);
}

// For the time that device work runs, device memory can be touched.
struct Opened {
  Opened() { protect(PROT_READ | PROT_WRITE); }
  ~Opened() { protect(PROT_NONE); }
};

void release(const char* address) {
  const auto found = allocations.find(address);
  if (found == allocations.end()) stop("memory freed that was not allocated");
  const Allocation allocation = found->second;
  mprotect(allocation.base, allocation.pages * PAGE, PROT_READ | PROT_WRITE);
  for (const char* at = allocation.base; at < address; at++) {
    if (static_cast<unsigned char>(*at) != 0xee) stop("something wrote before the start of a device buffer");
  }
  for (const char* at = address + allocation.bytes; at < allocation.base + allocation.pages * PAGE; at++) {
    if (static_cast<unsigned char>(*at) != 0xee) stop("something wrote beyond the end of a device buffer");
  }
  munmap(allocation.base, (allocation.pages + 1) * PAGE);
  memoryInUse -= allocation.bytes;
  allocations.erase(found);
}

void onFault(int, siginfo_t* information, void*) {
  char text[300];
  const int length = std::snprintf(text, sizeof text, "emulated GPU: bad address %p; %s\n", information->si_addr,
                                   *kernelName ? where().c_str() : "the host touched device memory, or a copy left its buffer");
  if (write(2, text, size_t(length)) < 0) _exit(3);
  _exit(3);
}

void watchFaults() {
  static bool done = false;
  if (done) return;
  done = true;
  stack_t stack = {};
  stack.ss_sp = std::malloc(65536);
  stack.ss_size = 65536;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

void requireDevicePointer(const void* pointer, const char* kernel) {
  if (!pointer) return;
  const char* address = static_cast<const char*>(pointer);
  auto after = allocations.upper_bound(address);
  if (after != allocations.begin()) {
    --after;
    if (address <= after->first + after->second.bytes) return;
  }
  stop((std::string("kernel ") + kernel + " was given a pointer that is no device memory").c_str());
}

void enqueue(void* stream, std::function<void()> task) { static_cast<EmulatedStream*>(stream)->queue.push_back(std::move(task)); }

}  // namespace emulate
}  // namespace cragru

using namespace cragru::emulate;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof *properties);
  std::snprintf(properties->name, sizeof properties->name, "emulated");
  properties->totalGlobalMem = memoryLimit;
  properties->major = 8;
  properties->multiProcessorCount = 3;
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t status) { return status == cudaErrorMemoryAllocation ? "out of memory" : "emulated error"; }
cudaError_t cudaGetLastError() {
  const int status = failNext;
  failNext = 0;
  return status;
}
cudaError_t cudaMemGetInfo(size_t* unused, size_t* total) {
  *unused = memoryLimit - memoryInUse;
  *total = memoryLimit;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->queue.empty()) return cudaSuccess;
  Opened opened;
  while (!stream->queue.empty()) {
    const std::function<void()> task = std::move(stream->queue.front());
    stream->queue.pop_front();
    task();
  }
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  cudaStreamSynchronize(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) {
  watchFaults();
  if (bytes > memoryLimit - memoryInUse) return cudaErrorMemoryAllocation;
  const size_t pages = (bytes + PAGE - 1) / PAGE;
  void* base = mmap(nullptr, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return cudaErrorMemoryAllocation;
  // As near to the closed page as an alignment of 16 allows.
  char* address = static_cast<char*>(base) + (pages * PAGE - bytes) / 16 * 16;
  std::memset(base, 0xee, pages * PAGE);
  std::memset(address, 0xff, bytes);
  mprotect(base, (pages + 1) * PAGE, PROT_NONE);
  allocations[address] = {static_cast<char*>(base), pages, bytes};
  memoryInUse += bytes;
  *pointer = address;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  enqueue(stream, [pointer] { release(static_cast<const char*>(pointer)); });
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, size_t bytes) { return cudaMallocAsync(pointer, bytes, nullptr); }
cudaError_t cudaFree(void* pointer) {
  release(static_cast<const char*>(pointer));
  return cudaSuccess;
}
// As CUDA does with memory that is not pinned: what the host gives is read at once, what it takes is there on return.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (kind != cudaMemcpyDeviceToHost) requireDevicePointer(to, "copy");
  if (kind != cudaMemcpyHostToDevice) requireDevicePointer(from, "copy");
  if (kind == cudaMemcpyHostToDevice) {
    const char* source = static_cast<const char*>(from);
    enqueue(stream, [to, given = std::vector<char>(source, source + bytes)] { std::memcpy(to, given.data(), given.size()); });
  } else {
    enqueue(stream, [=] { std::memcpy(to, from, bytes); });
    if (kind == cudaMemcpyDeviceToHost) return cudaStreamSynchronize(stream);
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  requireDevicePointer(to, "fill");
  enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  return cudaSuccess;
}
// Runs all that the stream holds: more than a GPU promises, never less.
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return event->stream ? cudaStreamSynchronize(event->stream) : 0; }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
