/* For valgrind alone (LD_PRELOAD): valgrind runs one thread at a time and does not know that io_uring_enter waits, so
 * that a thread that waits in it stops all the others. This waits in slices and lets the others run in between. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>

static const long SLICE_NS = 1000000;

long syscall(long number, ...) {
  static long (*real)(long, ...);
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (!real) real = dlsym(RTLD_NEXT, "syscall");
  long want = a[2], flags = a[3];
  if (number != SYS_io_uring_enter || want == 0)
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);

  struct timespec slice = {0, SLICE_NS}, pause = {0, SLICE_NS / 10}, end = {0, 0}, now;
  if (flags & IORING_ENTER_EXT_ARG) {
    struct timespec *limit = (struct timespec *)((struct io_uring_getevents_arg *)a[4])->ts;
    if (limit) {
      clock_gettime(CLOCK_MONOTONIC, &end);
      end.tv_sec += limit->tv_sec;
      end.tv_nsec += limit->tv_nsec;
    }
  }
  struct io_uring_getevents_arg arg = {.ts = (unsigned long)&slice};
  long submit = a[1];
  for (;;) {
    long result = real(number, a[0], submit, want, flags | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
    /* What was submitted is returned instead of ETIME; the caller sees from its queue whether anything completed. */
    if (result >= 0 || errno != ETIME) return result;
    submit = 0;
    if (end.tv_sec) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      if (now.tv_sec + 1e-9 * now.tv_nsec >= end.tv_sec + 1e-9 * end.tv_nsec) return result;
    }
    nanosleep(&pause, 0);
  }
}
