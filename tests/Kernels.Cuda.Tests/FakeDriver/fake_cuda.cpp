// A libcuda.so.1 for tests: the driver's functions that are used, over host memory, with kernels that are libraries made by
// fake_nvrtc.cpp from the emulator. It lets whole processes take the road through P/Invoke, handles, streams and graphs. Work is
// done when it is asked for. Rules of the real driver that are easy to break are checked: a context is current, addresses
// lie in memory that was allocated, handles are alive, nothing synchronises while a graph is recorded.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

enum { Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, InvalidImage = 200, InvalidContext = 201, InvalidHandle = 400, NotFound = 500, IllegalAddress = 700, CaptureUnsupported = 900 };
#define API extern "C" __attribute__((visibility("default"))) int

typedef void (*Kernel)(const void*);
typedef int (*Launch)(Kernel, const void*, int, int, int, int, int, int);
struct Module { void* library; };
struct Function { Kernel kernel; Launch launch; int parameter_bytes, threads; };
struct Stream { bool recording = false; std::vector<std::function<int()>> work; };
struct Graph { std::vector<std::function<int()>> work; };

static std::recursive_mutex lock;
static bool initialised;
static int retained;
static std::map<uintptr_t, size_t> device_memory, pinned_memory;
static std::set<void*> handles;
static size_t used;
static const size_t TotalBytes = getenv("FAKE_CUDA_MEMORY") ? strtoull(getenv("FAKE_CUDA_MEMORY"), nullptr, 10) : (size_t)1 << 30;
static thread_local bool current;
static int context;

#define ENTER                                         \
    std::lock_guard<std::recursive_mutex> guard(lock); \
    if (!initialised)                                 \
        return NotInitialized;                        \
    if (!current || retained == 0)                    \
        return InvalidContext;

static bool inside(const std::map<uintptr_t, size_t>& memory, uintptr_t address, size_t bytes)
{
    auto after = memory.upper_bound(address);
    if (after == memory.begin())
        return false;
    const auto& block = *--after;
    return address + bytes <= block.first + block.second;
}

template <class T>
static T* of(void* handle) { return handles.count(handle) ? (T*)handle : nullptr; }

template <class T>
static int close_handle(void* handle)
{
    if (!of<T>(handle))
        return InvalidHandle;
    handles.erase(handle);
    delete (T*)handle;
    return Success;
}

static int put(void* stream, std::function<int()> work)
{
    auto* to = of<Stream>(stream);
    if (!to)
        return InvalidHandle;
    if (!to->recording)
        return work();
    to->work.push_back(work);
    return Success;
}

API cuInit(unsigned) { initialised = true; return Success; }
API cuDriverGetVersion(int* version) { *version = 12040; return Success; }
API cuDeviceGetCount(int* count) { *count = 1; return Success; }
API cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal == 0 ? Success : InvalidValue; }
API cuDeviceGetName(char* name, int length, int) { snprintf(name, length, "Fake GPU"); return Success; }
API cuDeviceGetAttribute(int* value, int attribute, int)
{
    *value = attribute == 75 ? 8 : attribute == 76 ? 0 : attribute == 16 ? 4 : 0;
    return Success;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = TotalBytes; return Success; }
API cuDevicePrimaryCtxRetain(void** result, int) { retained++; *result = &context; return initialised ? Success : NotInitialized; }
API cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? Success : InvalidContext; }
API cuCtxSetCurrent(void* result) { current = result == &context; return Success; }
API cuCtxSynchronize() { ENTER return Success; }
API cuMemGetInfo_v2(size_t* free_bytes, size_t* total) { ENTER *free_bytes = TotalBytes - used; *total = TotalBytes; return Success; }
API cuMemAlloc_v2(uintptr_t* address, size_t bytes)
{
    ENTER
    if (bytes == 0)
        return InvalidValue;
    if (used + bytes > TotalBytes)
        return OutOfMemory;
    used += bytes;
    *address = (uintptr_t)aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset((void*)*address, 0xcb, bytes);
    device_memory[*address] = bytes;
    return Success;
}
API cuMemFree_v2(uintptr_t address)
{
    ENTER
    if (!device_memory.count(address))
        return InvalidValue;
    used -= device_memory[address];
    device_memory.erase(address);
    free((void*)address);
    return Success;
}
API cuMemHostAlloc(uintptr_t* address, size_t bytes, unsigned)
{
    ENTER
    *address = (uintptr_t)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned_memory[*address] = bytes;
    return Success;
}
API cuMemFreeHost(uintptr_t address)
{
    ENTER
    if (!pinned_memory.erase(address))
        return InvalidValue;
    free((void*)address);
    return Success;
}
static int copy(uintptr_t target, bool target_on_device, uintptr_t source, bool source_on_device, size_t bytes, void* stream)
{
    // Host memory is always pinned here: a copy from other memory would not be in the background.
    if (!inside(target_on_device ? device_memory : pinned_memory, target, bytes) || !inside(source_on_device ? device_memory : pinned_memory, source, bytes))
        return InvalidValue;
    return put(stream, [=] { memcpy((void*)target, (const void*)source, bytes); return (int)Success; });
}
API cuMemcpyHtoDAsync_v2(uintptr_t device, uintptr_t host, size_t bytes, void* stream) { ENTER return copy(device, true, host, false, bytes, stream); }
API cuMemcpyDtoHAsync_v2(uintptr_t host, uintptr_t device, size_t bytes, void* stream) { ENTER return copy(host, false, device, true, bytes, stream); }
API cuMemcpyDtoDAsync_v2(uintptr_t target, uintptr_t source, size_t bytes, void* stream) { ENTER return copy(target, true, source, true, bytes, stream); }
API cuStreamCreate(void** stream, unsigned) { ENTER handles.insert(*stream = new Stream); return Success; }
API cuStreamDestroy_v2(void* stream) { ENTER return close_handle<Stream>(stream); }
API cuStreamSynchronize(void* stream) { ENTER return !of<Stream>(stream) ? InvalidHandle : of<Stream>(stream)->recording ? CaptureUnsupported : Success; }
API cuStreamWaitEvent(void* stream, void* event, unsigned) { ENTER return of<Stream>(stream) && of<int>(event) ? Success : InvalidHandle; }
API cuStreamBeginCapture_v2(void* stream, int)
{
    ENTER
    if (!of<Stream>(stream) || of<Stream>(stream)->recording)
        return InvalidHandle;
    of<Stream>(stream)->recording = true;
    return Success;
}
API cuStreamEndCapture(void* stream, void** graph)
{
    ENTER
    auto* from = of<Stream>(stream);
    if (!from || !from->recording)
        return InvalidHandle;
    from->recording = false;
    handles.insert(*graph = new Graph{std::move(from->work)});
    from->work.clear();
    return Success;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long)
{
    ENTER
    if (!of<Graph>(graph))
        return InvalidHandle;
    handles.insert(*executable = new Graph(*of<Graph>(graph)));
    return Success;
}
API cuGraphDestroy(void* graph) { ENTER return close_handle<Graph>(graph); }
API cuGraphExecDestroy(void* graph) { ENTER return close_handle<Graph>(graph); }
API cuGraphLaunch(void* graph, void* stream)
{
    ENTER
    if (!of<Graph>(graph) || !of<Stream>(stream))
        return InvalidHandle;
    for (const auto& work : of<Graph>(graph)->work)
        if (const int result = work())
            return result;
    return Success;
}
API cuEventCreate(void** event, unsigned) { ENTER handles.insert(*event = new int); return Success; }
API cuEventDestroy_v2(void* event) { ENTER return close_handle<int>(event); }
API cuEventRecord(void* event, void* stream) { ENTER return of<int>(event) && of<Stream>(stream) ? Success : InvalidHandle; }
API cuEventSynchronize(void* event) { ENTER return of<int>(event) ? Success : InvalidHandle; }
API cuEventElapsedTime(float* milliseconds, void*, void*) { ENTER *milliseconds = 1; return Success; }
API cuModuleLoadData(void** module, const char* image)
{
    ENTER
    void* library = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return InvalidImage;
    handles.insert(*module = new Module{library});
    return Success;
}
API cuModuleUnload(void* module) { ENTER return close_handle<Module>(module); }
API cuModuleGetFunction(void** function, void* module, const char* name)
{
    ENTER
    void* library = of<Module>(module)->library;
    const auto call = [&](const char* suffix) { return (int (*)())dlsym(library, (std::string(name) + suffix).c_str()); };
    auto kernel = (Kernel)dlsym(library, name);
    if (!kernel)
        return NotFound;
    handles.insert(*function = new Function{kernel, (Launch)dlsym(library, "emulator_launch"), call("_parameter_bytes")(), call("_threads")()});
    return Success;
}
API cuFuncSetAttribute(void* function, int, int) { ENTER return of<Function>(function) ? Success : InvalidHandle; }
API cuLaunchKernel(void* handle, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned shared, void* stream, void** parameters, void**)
{
    ENTER
    auto* function = of<Function>(handle);
    if (!function)
        return InvalidHandle;
    if (getenv("FAKE_CUDA_FAIL_FILE") && access(getenv("FAKE_CUDA_FAIL_FILE"), F_OK) == 0)
        return IllegalAddress;
    if ((int)threads != function->threads || x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 || shared > 48 << 10)
        return InvalidValue;
    // The driver copies parameters when a launch is asked for.
    std::vector<char> copy((char*)parameters[0], (char*)parameters[0] + function->parameter_bytes);
    return put(stream, [=] { return function->launch(function->kernel, copy.data(), x, y, z, threads, shared, 0) == 0 ? (int)Success : (int)IllegalAddress; });
}
API cuGetErrorName(int error, const char** name) { *name = error == OutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : error == IllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_FAKE"; return Success; }
API cuGetErrorString(int, const char** text) { *text = "said the fake driver"; return Success; }
