package launch

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// guest is a process that somebody else started, in a debugger. It is called, and neither confined nor ended.
type guest struct {
	pid   int
	done  chan struct{} // closed when it is gone, or let go
	leave func()
	left  time.Time // set before done is closed
}

// Attach calls a plugin that somebody else started and that listens on a unix socket, without certificates. Stop and Kill let
// go of it; Done is closed then, and when it has ended.
func Attach(ctx context.Context, name string, pid int, socket string) (*Process, error) {
	conn, err := grpc.NewClient("unix:"+socket, append(dialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, &Error{Plugin: name, Class: Ours, Text: err.Error(), Err: err}
	}
	stop := make(chan struct{})
	g := &guest{pid: pid, done: make(chan struct{}), leave: sync.OnceFunc(func() { close(stop) })}
	p := &Process{conn: conn, guest: g}
	ctx, cancel := context.WithTimeout(ctx, defaultStartTimeout)
	defer cancel()
	if err := p.Health(ctx); err != nil {
		_ = conn.Close()
		return nil, &Error{Plugin: name, Class: Handshake, Err: err, Text: fmt.Sprintf("process %d, which was started for a debugger, does not answer: %v", pid, err)}
	}
	go g.watch(stop)
	return p, nil
}

// watch looks once a second whether the process is there. Its number may be another's by then, and the calls fail.
func (g *guest) watch(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer func() {
		g.left = time.Now()
		close(g.done)
	}()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if syscall.Kill(g.pid, 0) == syscall.ESRCH {
				return
			}
		}
	}
}

// exit is how it ended, of which only the time is known.
func (g *guest) exit() Exit { return Exit{At: g.left, Code: -1, Signal: "no word"} }
