#include "runtime/seccomp.h"

#include <cerrno>
#include <sstream>
#include <string>

namespace archway {

namespace {

// Sorted; names that an architecture or libseccomp does not know are skipped by the runtimes.
constexpr const char* kAllowed = R"(
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr
_llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret
mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd
msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64
preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat
renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr
sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid
setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt
set_thread_area set_tid_address setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync
sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat
utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev process_vm_readv process_vm_writev ptrace
chroot)";

#if defined(__x86_64__)
constexpr const char* kOwnCalls = "arch_prctl modify_ldt";
const std::vector<std::string> kArchitectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
#elif defined(__aarch64__)
constexpr const char* kOwnCalls = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
const std::vector<std::string> kArchitectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
constexpr const char* kOwnCalls = "sync_file_range2";
const std::vector<std::string> kArchitectures = {};  // the runtime adds the native one
#endif

Json names(const char* list) {
  Json result = Json::array();
  std::istringstream words(list);
  for (std::string word; words >> word;) result.push(word);
  return result;
}

Json allow(Json calls) { return Json::object({{"names", std::move(calls)}, {"action", "SCMP_ACT_ALLOW"}}); }

Json condition(int64_t index, int64_t value, const char* op, int64_t value_two = 0) {
  return Json::object({{"index", index}, {"value", value}, {"valueTwo", value_two}, {"op", op}});
}

Json allow_if(const char* call, Json one_condition) {
  Json rule = allow(names(call));
  rule.set("args", Json(Json::Array{std::move(one_condition)}));
  return rule;
}

}  // namespace

Json default_seccomp(bool emulated) {
  Json calls = Json::array();
  calls.push(allow(names(kAllowed)));
  calls.push(allow(names(kOwnCalls)));
  // AF_VSOCK (40) reaches the hypervisor; every other family is allowed.
  calls.push(allow_if("socket", condition(0, 40, "SCMP_CMP_NE")));
  // PER_LINUX, PER_LINUX32, UNAME26 and both, and "tell me".
  for (int64_t persona : {int64_t{0x0}, int64_t{0x8}, int64_t{0x20000}, int64_t{0x20008}, int64_t{0xffffffff}}) calls.push(allow_if("personality", condition(0, persona, "SCMP_CMP_EQ")));
  // No new namespaces (CLONE_NEWNS | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWCGROUP) without CAP_SYS_ADMIN.
  calls.push(allow_if("clone", condition(0, 0x7e020000, "SCMP_CMP_MASKED_EQ", 0)));
  calls.push(Json::object({{"names", names("clone3")}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", ENOSYS}}));
  Json profile = Json::object({{"defaultAction", "SCMP_ACT_ERRNO"}, {"defaultErrnoRet", EPERM}});
  if (!kArchitectures.empty() && !emulated) profile.set("architectures", Json(kArchitectures));
  if (!kArchitectures.empty() && emulated) profile.set("architectures", Json(std::vector<std::string>{kArchitectures[0]}));
  profile.set("syscalls", std::move(calls));
  return profile;
}

}  // namespace archway
