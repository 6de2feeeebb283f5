package wire

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// putTime writes t into p; nil where t is zero, or outside the years that the protocol knows.
func putTime(p *timestamppb.Timestamp, t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	p.Seconds, p.Nanos = t.Unix(), int32(t.Nanosecond())
	if !p.IsValid() {
		return nil
	}
	return p
}

// timeOf is the time in UTC; zero where it is absent.
func timeOf(what string, p *timestamppb.Timestamp) (time.Time, error) {
	if p == nil {
		return time.Time{}, nil
	}
	if !p.IsValid() {
		return time.Time{}, fmt.Errorf("%w: %s is no time: %d s and %d ns", ErrAnswer, what, p.GetSeconds(), p.GetNanos())
	}
	return time.Unix(p.GetSeconds(), int64(p.GetNanos())).UTC(), nil
}

// putDuration writes d into p; nil where it is zero.
func putDuration(p *durationpb.Duration, d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	p.Seconds, p.Nanos = int64(d/time.Second), int32(d%time.Second)
	return p
}

// DurationToProto is nil for zero.
func DurationToProto(d time.Duration) *durationpb.Duration {
	return putDuration(new(durationpb.Duration), d)
}

// DurationFromProto is zero for nil. A duration that is negative, malformed or beyond 292 years is an error, which names what.
func DurationFromProto(what string, p *durationpb.Duration) (time.Duration, error) {
	const most = math.MaxInt64 / int64(time.Second)
	if p == nil {
		return 0, nil
	}
	if p.CheckValid() != nil || p.GetSeconds() < 0 || p.GetNanos() < 0 || p.GetSeconds() >= most {
		return 0, fmt.Errorf("%w: %s is no duration: %d s and %d ns, want 0 s to %d s", ErrAnswer, what, p.GetSeconds(), p.GetNanos(), most)
	}
	return time.Duration(p.GetSeconds())*time.Second + time.Duration(p.GetNanos()), nil
}

// small brings a count into the range of the protocol.
func small(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }
