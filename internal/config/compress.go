package config

import (
	"reflect"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Compress returns cfg with its time running n times faster: schedules, timeouts, confirm, degraded_above, the breaker's
// reset, the stall limit, every duration in the parameters of checks, and the times of rules, the latencies that they compare with
// included, of maintenance, the heartbeat, incidents and the agent's own snapshot. The times of delivery, of the store and of
// the shutdown stay, because the disk and the network do not run faster. cfg is left as it is; n of 1 or less is a copy.
func Compress(cfg *Config, n float64) *Config {
	out := *cfg
	out.Providers, out.Checks = slices.Clone(cfg.Providers), slices.Clone(cfg.Checks)
	if n <= 1 {
		return &out
	}
	for i := range out.Providers {
		p := &out.Providers[i]
		p.StallAfter, p.Breaker.Reset = divide(p.StallAfter, n), divide(p.Breaker.Reset, n)
	}
	for i := range out.Checks {
		c := &out.Checks[i]
		c.Schedule = c.Schedule.Compress(n)
		c.Timeout, c.DegradedAbove, c.Confirm = divide(c.Timeout, n), divide(c.DegradedAbove, n), divide(c.Confirm, n)
		if interval := c.Schedule.Interval(); interval > 0 && c.Timeout >= interval { // a schedule has a shortest interval
			c.Timeout = interval * 4 / 5
		}
		c.IncidentSchedule = c.IncidentSchedule.Compress(n)
		c.With = compressed{c.With, n}
	}
	out.Snapshot = max(divide(out.Snapshot, n), time.Second)
	compressAlerts(&out, n)
	return &out
}

// divide keeps what is not zero from becoming zero, which would mean "off".
func divide(d time.Duration, n float64) time.Duration {
	if d == 0 {
		return 0
	}
	return max(time.Duration(float64(d)/n), time.Millisecond)
}

type compressed struct {
	checks.Decoder
	n float64
}

func (c compressed) Decode(into any) error {
	if err := c.Decoder.Decode(into); err != nil {
		return err
	}
	v := reflect.ValueOf(into)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		c.scale(v.Elem())
	}
	return nil
}

// scale divides every duration below v. Lists, maps and pointers are copied first: they may belong to the defaults.
func (c compressed) scale(v reflect.Value) {
	if !v.CanSet() || !hasDuration(v.Type(), nil) {
		return
	}
	switch v.Kind() { //nolint:exhaustive // no other kind holds a duration
	case reflect.Int64:
		v.SetInt(int64(divide(time.Duration(v.Int()), c.n)))
	case reflect.Struct:
		for i := range v.NumField() {
			c.scale(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			c.scale(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		if !v.IsNil() {
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			for i := range fresh.Len() {
				c.scale(fresh.Index(i))
			}
			v.Set(fresh)
		}
	case reflect.Map:
		c.scaleMap(v)
	}
}

func (c compressed) scaleMap(v reflect.Value) {
	if v.IsNil() {
		return
	}
	fresh := reflect.MakeMap(v.Type())
	for key, value := range v.Seq2() {
		element := reflect.New(v.Type().Elem()).Elem()
		element.Set(value)
		c.scale(element)
		fresh.SetMapIndex(key, element)
	}
	v.Set(fresh)
}

// hasDuration reports whether values of the type can hold durations; above are the types that are being looked at.
func hasDuration(t reflect.Type, above []reflect.Type) bool {
	if t == reflect.TypeFor[time.Duration]() {
		return true
	}
	if slices.Contains(above, t) {
		return false
	}
	above = append(above, t)
	switch t.Kind() { //nolint:exhaustive // no other kind holds a duration
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return hasDuration(t.Elem(), above)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && hasDuration(f.Type, above) {
				return true
			}
		}
	}
	return false
}
