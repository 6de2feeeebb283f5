package host

import (
	"context"
	"time"

	"github.com/windsock-monitor/windsock/internal/process"
)

// AskResolver asks one resolver at an address, beside others that are dead or not.
func AskResolver(ctx context.Context, name, address string, othersAnswer bool) Finding {
	r := ask(ctx, name, "192.0.2.53", address)
	return r.judge(name, r.err != nil && !othersAnswer)
}

// JudgeClock judges a clock that says now.
func JudgeClock(now, released time.Time, asleep time.Duration, known, synchronised bool) Finding {
	return timepiece{now: now, released: released, asleep: asleep, known: known, synchronised: synchronised}.judge()
}

// JudgeVolume judges a file system, for a store of a gibibyte of which half is used.
func JudgeVolume(kind string, free int64, inodes uint64, readOnly bool) Finding {
	return volume{dir: "/var/lib/windsock", kind: kind, free: free, wanted: 512 << 20, inodes: 1000, freeInodes: inodes, readOnly: readOnly}.judge(1 << 30)
}

// FileSystem names a magic number.
func FileSystem(magic int64) string { return fileSystem(magic) }

// Confinement judges how a trial of the sandbox ended.
func Confinement(walls bool, end process.End, err error) Finding {
	return confinement("/etc/windsock/schedules.yaml", walls, end, err)
}

// Held judges a probe that the kernel holds up until release, when the time is over.
func Held(release <-chan struct{}) []Finding {
	answer, over := make(chan []Finding, 1), make(chan struct{})
	go func() { <-release; answer <- nil }()
	close(over)
	return probe{"disk", nil}.await(answer, over)
}

// StateWay is the way out of a state directory of user 1234, for an agent that runs as somebody else.
func StateWay(name, dir string) string {
	return stateWay(Account{Name: name, Group: name, UID: 4321}, dir, &denial{at: dir, dir: true, owner: owner{uid: 1234, gid: 1234, mode: 0o700}})
}
