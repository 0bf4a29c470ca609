// A libnvrtc.so.12 for tests: its machine code of a kernel file is the path of the library that the test made of that file for
// the emulator: FAKE_NVRTC_FOLDER/NAME.so.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <string>

#define API extern "C" __attribute__((visibility("default"))) int
struct Program { std::string path, log; bool has_headers; };

API nvrtcVersion(int* major, int* minor) { *major = 12; *minor = 4; return 0; }
API nvrtcGetNumSupportedArchs(int* count) { *count = 2; return 0; }
API nvrtcGetSupportedArchs(int* architectures) { architectures[0] = 75; architectures[1] = 80; return 0; }
API nvrtcCreateProgram(Program** result, const char* source, const char* name, int count, const char** headers, const char** names)
{
    bool common = false;
    for (int i = 0; i < count; i++)
        common |= strcmp(names[i], "common.cuh") == 0 && strstr(headers[i], "typedef signed char s8;") != nullptr;
    const std::string file = name;
    *result = new Program{std::string(getenv("FAKE_NVRTC_FOLDER")) + "/" + file.substr(0, file.find('.')) + ".so", "", common && strstr(source, "GROK1_KERNEL(") != nullptr};
    return 0;
}
API nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }
API nvrtcCompileProgram(Program* program, int count, const char** options)
{
    bool architecture = false, unfused = false;
    for (int i = 0; i < count; i++)
    {
        architecture |= strcmp(options[i], "--gpu-architecture=sm_80") == 0;
        unfused |= strcmp(options[i], "--fmad=false") == 0;
    }
    if (architecture && unfused && program->has_headers && access(program->path.c_str(), R_OK) == 0)
        return 0;
    program->log = "kernel.cu(1): error: said the fake compiler";
    return 6;
}
API nvrtcGetCUBINSize(Program* program, size_t* bytes) { *bytes = program->path.size() + 1; return 0; }
API nvrtcGetCUBIN(Program* program, char* image) { strcpy(image, program->path.c_str()); return 0; }
API nvrtcGetPTXSize(Program*, size_t*) { return 1; }
API nvrtcGetPTX(Program*, char*) { return 1; }
API nvrtcGetProgramLogSize(Program* program, size_t* bytes) { *bytes = program->log.size() + 1; return 0; }
API nvrtcGetProgramLog(Program* program, char* log) { strcpy(log, program->log.c_str()); return 0; }
extern "C" __attribute__((visibility("default"))) const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR_FAKE"; }
