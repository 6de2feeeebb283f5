package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// LakeParams say what becomes of a batch.
type LakeParams struct {
	Answer string `yaml:"answer" jsonschema:"enum=done,enum=reject,enum=retry,enum=hold,enum=split,enum=poison,enum=progress,enum=panic,enum=refuse" jsonschema_description:"What becomes of a batch."`
}

// Lake is an exporter that counts records in its state.
func Lake() exporters.Kind {
	return exporters.NewKind("lake", "Counts records, and forgets them.", LakeParams{Answer: "done"}, func(p LakeParams, env exporters.Env) (exporters.Exporter, error) {
		if p.Answer == "refuse" {
			return nil, checks.Invalid("answer", "refused")
		}
		return &lake{answer: p.Answer, env: env, state: string(env.State)}, nil
	})
}

type lake struct {
	answer string
	env    exporters.Env
	state  string
}

// Close tells that it was.
func (l *lake) Close() error {
	l.env.Log.Info("lake closed")
	return nil
}

func (l *lake) Export(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
	l.state = fmt.Sprintf("%s+%d", l.state, len(batch))
	why := errors.New("the lake is dry")
	switch l.answer {
	case "reject":
		return exporters.Outcome{Rejected: []exporters.Rejection{{Index: len(batch) - 1, Reason: "too old"}}, State: []byte(l.state)}, nil
	case "retry":
		return exporters.Outcome{}, exporters.Retry(why, 7*time.Second)
	case "hold":
		return exporters.Outcome{}, exporters.Hold(why)
	case "split":
		return exporters.Outcome{}, exporters.Split(why)
	case "poison":
		return exporters.Outcome{}, exporters.Poison(why)
	case "progress":
		return exporters.Outcome{}, exporters.Progress(1, []byte("half"), exporters.Retry(why, 0))
	case "panic":
		panic("the dam breaks")
	}
	return exporters.Outcome{State: []byte(l.state), RejectedPoints: 2}, nil
}

// Refresh implements exporters.Refresher.
func (l *lake) Refresh(_ context.Context, open []checks.Alert) ([]byte, error) {
	if l.answer == "hold" {
		return nil, exporters.Hold(errors.New("the lake is dry"))
	}
	return fmt.Appendf(nil, "%d open", len(open)), nil
}

// Picky is an exporter of alerts.
func Picky() exporters.Kind {
	return exporters.NewKind("picky", "Takes alerts and nothing else.", LakeParams{Answer: "done"}, func(p LakeParams, env exporters.Env) (exporters.Exporter, error) {
		return picky{&lake{answer: p.Answer, env: env}}, nil
	})
}

type picky struct{ lake *lake }

func (p picky) Wants(t checks.RecordType) bool { return t == checks.TypeAlert }

func (p picky) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	return p.lake.Export(ctx, batch)
}

// Page is an exporter that a plugin cannot have.
func Page() exporters.Kind {
	return exporters.NewKind("page", "Serves a page on the agent's listener.", LakeParams{Answer: "done"}, func(LakeParams, exporters.Env) (exporters.Exporter, error) {
		return page{}, nil
	})
}

type page struct{}

func (page) Handler() (string, http.Handler) { return "/page", http.NotFoundHandler() }

func (page) Export(context.Context, []checks.Record) (exporters.Outcome, error) {
	return exporters.Outcome{}, nil
}
