package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/plugins/wire"
)

// callError is why a plugin did not answer, or not with anything of use. Its text begins with the plugin's name.
type callError struct {
	text   string
	config bool       // what the file says is wrong, not the plugin
	sent   bool       // the plugin may have done what it was asked for
	code   codes.Code // of an answer
}

func (e *callError) Error() string { return e.text }

// fault is a fault of the plugin.
func (s *supervisor) fault(format string, args ...any) *callError {
	return &callError{text: wire.Line("plugin " + s.name + ": " + fmt.Sprintf(format, args...))}
}

// misconfigured is a fault of the file.
func (s *supervisor) misconfigured(format string, args ...any) *callError {
	e := s.fault(format, args...)
	e.config = true
	return e
}

// words is what a call's error says, without secrets.
func (s *supervisor) words(err error) string {
	return wire.Line(s.o.Scrubber.String(status.Convert(err).Message()))
}

// call makes one call for the instance: it waits for the plugin, for the instance's turn and for a place among the plugin's
// calls, all within ctx, makes the instance known where it is not, and calls. do gets a context of its own where overtime is
// left to the plugin.
func (in *instance) call(ctx context.Context, method string, overtime time.Duration, do func(context.Context, *session) error) error {
	const tries = 4 // each with another process
	for range tries {
		session, err := in.s.ready(ctx)
		if err != nil {
			return err
		}
		if err := in.take(ctx); err != nil {
			return in.late(err, "its call before is still going on")
		}
		err = in.attempt(ctx, session, method, overtime, do)
		in.give()
		if !errors.Is(err, errAgain) {
			return err
		}
	}
	return in.s.fault("it was started again all the time")
}

// late is the error of a wait that ctx ended.
func (in *instance) late(err error, why string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return in.s.fault("%s", why)
}

// attempt is called by the one whose turn it is.
func (in *instance) attempt(ctx context.Context, session *session, method string, overtime time.Duration, do func(context.Context, *session) error) error {
	if !in.s.alive(session) {
		return errAgain
	}
	if err := in.ensure(ctx, session); err != nil {
		return err
	}
	err := in.once(ctx, session, method, overtime, do)
	if e, ok := errors.AsType[*callError](err); !ok || e.code != codes.FailedPrecondition {
		return err
	}
	in.session = nil // the plugin has forgotten it
	if err := in.ensure(ctx, session); err != nil {
		return err
	}
	return in.once(ctx, session, method, overtime, do)
}

// alive reports whether the session can be used. Of a process that is dead nobody may have taken note yet.
func (s *supervisor) alive(session *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != session {
		return false
	}
	select {
	case <-session.process.Done():
		s.session, s.state = nil, Draining
		s.announce()
		return false
	default:
		return true
	}
}

// once calls once.
func (in *instance) once(ctx context.Context, session *session, method string, overtime time.Duration, do func(context.Context, *session) error) error {
	if err := in.s.calls.enter(ctx); err != nil {
		return in.late(err, "it has too many calls at the same time")
	}
	began := time.Now()
	ctx, cancel := extended(ctx, overtime)
	defer cancel()
	err := do(ctx, session)
	code := status.Code(err)
	in.s.calls.leave(code == codes.ResourceExhausted && !tooLarge(err))
	in.s.stats.call(method, code)
	if err == nil {
		session.heard(in)
		return nil
	}
	if code == codes.DeadlineExceeded && timeUp(ctx) && session.abandon(in) {
		in.s.retire(session, ReasonAbandoned)
	}
	return in.s.explain(ctx, session, fmt.Sprintf("no answer within %s", time.Since(began).Round(time.Millisecond)), err)
}

// timeUp reports whether the deadline has come. The plugin's side may have seen it a moment before ours.
func timeUp(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && time.Until(deadline) < 100*time.Millisecond
}

// extended is ctx with a later deadline. It is cancelled where ctx is.
func extended(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if by <= 0 || !bounded {
		return context.WithCancel(ctx)
	}
	longer, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(by))
	forget := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() {
		forget()
		cancel()
	}
}

// tooLarge tells an answer that is beyond the host's limit from a plugin that has too much to do.
func tooLarge(err error) bool {
	return strings.Contains(status.Convert(err).Message(), "received message larger than max")
}

// explain says what an error of a call means. late is what to say where the time was up.
func (s *supervisor) explain(ctx context.Context, session *session, late string, err error) error {
	var e *callError
	code := status.Code(err)
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil, code == codes.DeadlineExceeded && timeUp(ctx):
		e = s.fault("%s", late)
	case code == codes.Unavailable, session.process.Conn().GetState() == connectivity.Shutdown:
		e = s.lost(ctx, session, err)
	case code == codes.ResourceExhausted && tooLarge(err):
		s.stats.fault()
		e = s.fault("its answer is larger than 4 MiB")
	case code == codes.ResourceExhausted:
		e = s.fault("it has too much to do: %s", s.words(err))
	case code == codes.Unimplemented:
		s.stats.fault()
		e = s.fault("it does not serve what its manifest announces: %s", s.words(err))
	default:
		s.stats.fault()
		e = s.fault("%s: %s", code, s.words(err))
	}
	e.sent, e.code = true, code
	return e
}

// lost is the error of a connection that broke. The end of the process, which is the reason as a rule, is seen a moment
// later.
func (s *supervisor) lost(ctx context.Context, session *session, err error) *callError {
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	select {
	case <-session.process.Done():
		exit := session.process.Exit()
		if exit.Killed || session.ended.Load() {
			return s.fault("it was ended during the call")
		}
		return s.fault("it crashed: %s", exit)
	case <-patience.C:
	case <-ctx.Done():
	}
	return s.fault("its connection broke: %s", s.words(err))
}
