package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func (s *server) Run(ctx context.Context, r *pluginv1.RunRequest) (*pluginv1.RunResponse, error) {
	p, err := s.instance(r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	s.running.Add(1)
	defer s.running.Done()
	now := s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	if err := s.misbehave(r, now); err != nil {
		return nil, err
	}
	return &pluginv1.RunResponse{Result: s.look(ctx, p, r.GetTimeout().AsDuration())}, nil
}

// misbehave does what a run does beside its result.
func (s *server) misbehave(r *pluginv1.RunRequest, now int64) error {
	s.leak()
	switch s.bad {
	case "not-concurrent":
		time.Sleep(5 * time.Millisecond)
		if now > 8 {
			return status.Error(codes.ResourceExhausted, "too many runs")
		}
	case "no-grease":
		if len(r.ProtoReflect().GetUnknown()) > 0 {
			return status.Error(codes.InvalidArgument, "unknown fields")
		}
	case "floods-stderr":
		for range 200 {
			s.log.Info("a line of the flood", "filling", strings.Repeat("x", 1000))
		}
	case "floods-stdout-once", "floods-stdout":
		if s.described.Add(1) == 1 || s.bad == "floods-stdout" {
			fmt.Println(strings.Repeat("x", 200_000))
		}
	case "blocks-on-stdout":
		fmt.Println(strings.Repeat("x", 2<<10))
	}
	return nil
}

// look asks the address for its first page.
func (s *server) look(ctx context.Context, p params, timeout time.Duration) *pluginv1.Result {
	began := time.Now()
	if s.bad != "ignores-deadline" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address)
	if err != nil {
		if s.bad == "refused-is-error" {
			return &pluginv1.Result{Status: pluginv1.Status_STATUS_ERROR, Cause: "internal", Summary: "nobody there"}
		}
		if s.bad == "refused-is-ok" {
			return &pluginv1.Result{Status: pluginv1.Status_STATUS_OK, Summary: "nobody there"}
		}
		return &pluginv1.Result{Status: pluginv1.Status_STATUS_FAILED, Cause: "connect", Summary: s.said(p, "nobody is there")}
	}
	defer conn.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		answered <- err
	}()
	select {
	case err = <-answered:
	case <-ctx.Done():
		s.linger(time.Since(began))
		return &pluginv1.Result{Status: pluginv1.Status_STATUS_FAILED, Cause: "timeout", Summary: "no answer"}
	}
	if err != nil {
		return &pluginv1.Result{Status: pluginv1.Status_STATUS_FAILED, Cause: "connect", Summary: "the connection broke"}
	}
	return s.fine(p, time.Since(began))
}

// linger stays beyond the end of the call: a run that lasted so long met its deadline, another was cancelled.
func (s *server) linger(after time.Duration) {
	late := after > 900*time.Millisecond
	switch {
	case s.bad == "ignores-deadline" && late:
		time.Sleep(3 * time.Second)
	case s.bad == "ignores-cancel" && !late:
		time.Sleep(6 * time.Second)
	}
}

func (s *server) said(p params, text string) string {
	if s.bad == "secret-in-summary" {
		return text + " with " + p.secret
	}
	return text
}

func (s *server) fine(p params, took time.Duration) *pluginv1.Result {
	m := &pluginv1.Measurement{Name: "shop.took", Unit: "s", Value: took.Seconds()}
	r := &pluginv1.Result{Status: pluginv1.Status_STATUS_OK, Summary: "it answered", Measurements: []*pluginv1.Measurement{m}}
	switch s.bad {
	case "nan":
		m.Value = nan()
	case "unannounced":
		m.Name = "shop.secretly"
	case "other-unit":
		m.Unit = "ms"
	case "no-summary":
		r.Summary = ""
	case "costs":
		r.Usage = &pluginv1.Usage{Model: "m", CostPicoUsd: 5}
	}
	return r
}

func (s *server) Export(ctx context.Context, r *pluginv1.ExportRequest) (*pluginv1.ExportResponse, error) {
	p, err := s.instance(r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	s.running.Add(1)
	defer s.running.Done()
	if s.bad == "empty-is-error" && len(r.GetRecords()) == 0 {
		return nil, status.Error(codes.Internal, "no records")
	}
	if s.bad == "unknown-enum" {
		for _, one := range r.GetRecords() {
			if one.GetReport().GetResult().GetStatus() > 6 {
				return &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_POISON, Message: "unknown status"}, nil
			}
		}
	}
	answer, err := s.deliver(ctx, p)
	if err != nil || answer.GetDisposition() != pluginv1.Disposition_DISPOSITION_DONE {
		return answer, err
	}
	switch s.bad {
	case "rejects-beyond":
		answer.Rejections = []*pluginv1.Rejection{{Index: int32(len(r.GetRecords())), Reason: "no"}}
	case "rejects-without-reason":
		if len(r.GetRecords()) > 1 {
			answer.Rejections = []*pluginv1.Rejection{{Index: 0}}
		}
	}
	return answer, nil
}

// deliver tells the backend that something is there.
func (s *server) deliver(ctx context.Context, p params) (*pluginv1.ExportResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return s.away(err)
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	_ = conn.SetDeadline(until)
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return s.away(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return s.away(err)
	}
	return &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE}, nil
}

func (s *server) Refresh(ctx context.Context, r *pluginv1.RefreshRequest) (*pluginv1.RefreshResponse, error) {
	p, err := s.instance(r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	answer, err := s.deliver(ctx, p)
	if err != nil {
		return nil, err
	}
	if s.bad == "refresh-is-done" {
		return &pluginv1.RefreshResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE}, nil
	}
	if s.bad == "refresh-holds" {
		return &pluginv1.RefreshResponse{Disposition: pluginv1.Disposition_DISPOSITION_HOLD, Message: "no"}, nil
	}
	return &pluginv1.RefreshResponse{Disposition: answer.GetDisposition(), Message: answer.GetMessage()}, nil
}

func (s *server) away(err error) (*pluginv1.ExportResponse, error) {
	switch s.bad {
	case "away-is-done":
		return &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE}, nil
	case "away-is-error":
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_RETRY, Message: "the backend is away"}, nil
}
