package plugintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func diagnoses(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error { return a.diagnose(ctx, p.clients, k) })
}

func (a *attempt) diagnose(ctx context.Context, c clients, k *kind) error {
	good, err := a.goodParams(k)
	if err != nil {
		return err
	}
	if faults := k.schema.Validate(good); len(faults) > 0 {
		return fmt.Errorf("kind %q: its schema refuses the good parameters: %s at %q", k.Name, faults[0].Message, "/"+strings.Join(faults[0].Path, "/"))
	}
	r := a.request(k, good, k.timeout())
	r.ValidateOnly = true
	if _, err := a.configure(ctx, c, k, r); err != nil {
		return err
	}
	var errs []error
	for _, m := range mistakes(k, good) {
		errs = append(errs, a.refuses(ctx, c, k, m))
	}
	return errors.Join(errs...)
}

// refuses tries one mistake, first only to see what is wrong and then to make an instance of it.
func (a *attempt) refuses(ctx context.Context, c clients, k *kind, m mistake) error {
	what := fmt.Sprintf("kind %q: with %s", k.Name, m.what)
	r := a.request(k, m.config, k.timeout())
	for _, r.ValidateOnly = range []bool{true, false} {
		diagnostics, err := configured(ctx, c, r)
		if err != nil {
			return fmt.Errorf("%s Configure is an error of the call, %w; want a diagnostic", what, err)
		}
		if err := placed(diagnostics, m); err != nil {
			return fmt.Errorf("%s %w", what, err)
		}
	}
	return a.lost(ctx, &instance{c, k, r.GetInstanceId()}, "that was refused, with "+m.what+",")
}

// placed wants an error at the parameter's place or at what holds it, or one at the whole that names the parameter.
func placed(diagnostics []*pluginv1.Diagnostic, m mistake) error {
	var seen []string
	for _, d := range diagnostics {
		if d.GetSummary() == "" || !isLine(d.GetSummary()) {
			return fmt.Errorf("a diagnostic has the summary %q, want one line of at most %d bytes", clip(d.GetSummary()), maxLine)
		}
		if !isError(d) {
			continue
		}
		at := d.GetPointer()
		near := at != "" && (strings.HasPrefix(m.at+"/", at+"/") || strings.HasPrefix(at, m.at+"/"))
		if near || at == "" && strings.Contains(d.GetSummary()+d.GetDetail(), m.name) {
			return nil
		}
		seen = append(seen, shown(d))
	}
	if len(seen) == 0 {
		return errors.New("nothing was found wrong, want a diagnostic of severity error")
	}
	return fmt.Errorf("the diagnostics are %s, want one at %q", strings.Join(seen, ", "), m.at)
}

func onlyValidates(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error {
		params, err := a.goodParams(k)
		if err != nil {
			return err
		}
		r := a.request(k, params, k.timeout())
		r.ValidateOnly = true
		i, err := a.configure(ctx, p.clients, k, r)
		if err != nil {
			return err
		}
		if err := a.lost(ctx, i, "that was only validated"); err != nil {
			return err
		}
		return a.validatesBeside(ctx, p.clients, k)
	})
}

// validatesBeside validates other parameters under the id of an instance that is there, which must stay as it is.
func (a *attempt) validatesBeside(ctx context.Context, c clients, k *kind) error {
	i, err := a.good(ctx, c, k)
	if err != nil {
		return err
	}
	r := a.request(k, []byte(`{"no_such_parameter": 1}`), k.timeout())
	r.InstanceId, r.ValidateOnly = i.id, true
	if _, err := configured(ctx, c, r); err != nil {
		return fmt.Errorf("kind %q: Configure: %w", k.Name, err)
	}
	if err := a.use(ctx, i); err != nil {
		return fmt.Errorf("after other parameters were only validated under its id: %w", err)
	}
	return i.release(ctx)
}

func instances(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error { return a.manyInstances(ctx, p.clients, k) })
}

func (a *attempt) manyInstances(ctx context.Context, c clients, k *kind) error {
	params, err := a.goodParams(k)
	if err != nil {
		return err
	}
	r := a.request(k, params, k.timeout())
	for range 2 {
		if _, err := a.configure(ctx, c, k, r); err != nil {
			return fmt.Errorf("with an id that is there: %w", err)
		}
	}
	i := &instance{c, k, r.GetInstanceId()}
	if err := a.use(ctx, i); err != nil {
		return fmt.Errorf("configured twice: %w", err)
	}
	more, err := a.hundred(ctx, c, k)
	if err != nil {
		return err
	}
	if err := a.use(ctx, more[len(more)-1]); err != nil {
		return fmt.Errorf("the last of a hundred: %w", err)
	}
	for _, one := range append(more, i) {
		if err := one.release(ctx); err != nil {
			return err
		}
	}
	if err := a.lost(ctx, i, "that was released"); err != nil {
		return err
	}
	if err := i.release(ctx); err != nil {
		return fmt.Errorf("of an instance that is not there: %w", err)
	}
	return nil
}

// hundred makes that many instances: a hundred checks of one kind in a file are not rare.
func (a *attempt) hundred(ctx context.Context, c clients, k *kind) ([]*instance, error) {
	var all []*instance
	for n := range 100 {
		params, err := a.goodParams(k)
		if err != nil {
			return nil, err
		}
		i, err := a.configure(ctx, c, k, a.request(k, params, k.timeout()))
		if err != nil {
			return nil, fmt.Errorf("instance %d of a hundred: %w", n+1, err)
		}
		all = append(all, i)
	}
	return all, nil
}

func unknownInstance(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error {
		i := &instance{p.clients, k, "never-configured"}
		if err := a.lost(ctx, i, "that was never configured"); err != nil {
			return err
		}
		if k.Type == manifest.Exporter && k.Refresh {
			return a.lostRefresh(ctx, i)
		}
		return nil
	})
}

func restarts(ctx context.Context, a *attempt) error {
	first, err := a.start(ctx)
	if err != nil {
		return err
	}
	second, err := a.start(ctx)
	if err != nil {
		return err
	}
	one, err := describe(ctx, first.clients)
	if err != nil {
		return err
	}
	two, err := describe(ctx, second.clients)
	if err != nil {
		return err
	}
	if !proto.Equal(one, two) {
		return errors.New("two processes describe the plugin differently")
	}
	return a.every(func(k *kind) error {
		before, kept, err := a.answer(ctx, first.clients, k, nil)
		if err != nil {
			return err
		}
		after, _, err := a.answer(ctx, second.clients, k, kept)
		if err != nil {
			return err
		}
		if before != after {
			return fmt.Errorf("kind %q: one process answers %s, and another that is configured alike %s", k.Name, before, after)
		}
		return nil
	})
}

// answer is what does not change between two runs of the same check, or exports of the same batch. kept is what the one
// before left: the memory of a check, the state of an exporter.
func (a *attempt) answer(ctx context.Context, c clients, k *kind, kept []byte) (answer string, left []byte, err error) {
	params, err := a.goodParams(k)
	if err != nil {
		return "", nil, err
	}
	r := a.request(k, params, k.timeout())
	if k.Type == manifest.Exporter {
		r.Exporter.State, r.Exporter.Unclean = kept, kept != nil
	}
	i, err := a.configure(ctx, c, k, r)
	if err != nil {
		return "", nil, err
	}
	if k.Type == manifest.Exporter {
		exported, err := i.send(ctx, "the-same-batch", a.suite.records(1, k), k.timeout())
		if err != nil {
			return "", nil, fmt.Errorf("kind %q: Export: %w", k.Name, said(err))
		}
		return fmt.Sprintf("%s with %d rejections", exported.GetDisposition(), len(exported.GetRejections())), exported.GetState(), wellExported(k, exported)
	}
	ran, err := i.runWith(ctx, &pluginv1.RunRequest{RunId: a.suite.id("run"), Memory: kept}, k.timeout())
	if err != nil {
		return "", nil, fmt.Errorf("kind %q: Run: %w", k.Name, said(err))
	}
	var names []string
	for _, m := range ran.GetResult().GetMeasurements() {
		names = append(names, m.GetName())
	}
	slices.Sort(names)
	result := ran.GetResult()
	text := fmt.Sprintf("%s %q with the measurements %q", result.GetStatus(), result.GetCause(), slices.Compact(names))
	return text, ran.GetMemory(), wellRun(k, ran)
}
