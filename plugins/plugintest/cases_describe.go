package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func describes(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	began := time.Now()
	first, err := describe(ctx, p.clients)
	if err != nil {
		return err
	}
	if took := time.Since(began); took > describeIn {
		return fmt.Errorf("the answer of Describe took %s, want at most %s", took.Round(time.Millisecond), describeIn)
	}
	second, err := describe(ctx, p.clients)
	if err != nil {
		return err
	}
	if !proto.Equal(first, second) {
		return errors.New("the answer of Describe differs the second time: what is locked would not be what runs")
	}
	_, err = manifest.FromWire(first)
	return errors.Join(err, documented(first))
}

func describe(ctx context.Context, c clients) (*pluginv1.DescribeResponse, error) {
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answer, err := c.base.Describe(call, describeRequest())
	if err != nil {
		return nil, fmt.Errorf("calling Describe: %w", said(err))
	}
	return answer, nil
}

// documented asks for what the agent does without and people do not.
func documented(d *pluginv1.DescribeResponse) error {
	var errs []error
	if strings.TrimSpace(d.GetSummary()) == "" {
		errs = append(errs, errors.New("it has no summary, want a line for people"))
	}
	for _, k := range d.GetKinds() {
		if strings.TrimSpace(k.GetDocMarkdown()) == "" {
			errs = append(errs, fmt.Errorf("kind %q has no documentation", k.GetName()))
		}
		var shape struct {
			Additional *bool `json:"additionalProperties"`
		}
		_ = json.Unmarshal(k.GetConfigSchemaJson(), &shape) // one that is no JSON is found by who compiles it
		if shape.Additional == nil || *shape.Additional {
			errs = append(errs, fmt.Errorf("kind %q: its schema lacks \"additionalProperties\": false, so that a misspelt parameter is not told", k.GetName()))
		}
		for _, m := range k.GetMeasurements() {
			if m.GetDescription() == "" {
				errs = append(errs, fmt.Errorf("kind %q: its measurement %q has no description", k.GetName(), m.GetName()))
			}
		}
	}
	return errors.Join(errs...)
}
