#pragma once

#include "runtime/sandbox.h"

namespace archway {

// Starts a sandbox process, passes its output on and waits for its end. Blocking; thread safe.
Result<RunResult> run_sandbox(SandboxSpec spec, const RunOutput& output, std::stop_token stop);

}  // namespace archway
