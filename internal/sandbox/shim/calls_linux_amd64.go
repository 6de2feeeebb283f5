package shim

// calls are the numbers of arch/x86/entry/syscalls/syscall_64.tbl. Above foreign are those of x32.
func calls() (table, bool) {
	return table{
		arch:    0xc000003e,
		foreign: 0x3fffffff,
		denied: []uint32{
			425,          // io_uring_setup: it does other calls past this filter
			90, 268, 452, // chmod, fchmodat, fchmodat2
			92, 94, 260, // chown, lchown, fchownat
			188, 189, 463, // setxattr, lsetxattr, setxattrat
			197, 198, 466, // removexattr, lremovexattr, removexattrat
		},
		onOthers:    []uint32{142, 144, 203, 314}, // sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr
		setpriority: 141, ioprio: 251, prlimit: 302,
		socket: 41, socketpair: 53,
		sendto: 44, sendmsg: 46, sendmm: 307,
		truncate: 76, open: 2, openat: 257,
		setsid: 112, prctl: 157, clone: 56,
	}, true
}
