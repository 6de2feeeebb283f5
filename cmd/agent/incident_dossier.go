package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
)

// dossier is all that is known of one incident.
type dossier struct {
	cfg    *config.Config
	client *agent.Client // nil where no agent answers, and the store was read
	got    *agent.IncidentAnswer
	seen   *incident.Seen // nil where the records could not be read
	lack   error          // why not
	course incident.Course
	now    time.Time
	took   []checks.Record // what was seen, in order, where it was asked for
}

// mostRecords is how many records of an incident are kept to be written; all are counted.
const mostRecords = 20_000

// openDossier asks the running agent for an incident, and where none answers the store. keep keeps its records.
func openDossier(ctx context.Context, p process, path, id string, keep bool) (*dossier, error) {
	cfg, err := readConfig(p, path)
	if err != nil {
		return nil, err
	}
	d := &dossier{cfg: cfg, now: time.Now()}
	if d.client, err = clientOf(ctx, p, path); err != nil {
		return nil, err
	}
	err = d.client.Ask(ctx, http.MethodGet, "/v1/incidents/"+url.PathEscape(id), nil, &d.got)
	if _, refused := errors.AsType[*agent.RefusedError](err); refused {
		return nil, asked(err)
	}
	if err != nil {
		d.client = nil
		var unread error
		if d.got, unread = agent.SeenIncident(ctx, cfg, p.getenv, id); unread != nil {
			return nil, neither(ctx, err, unread)
		}
		fromStore(p, err)
	}
	d.read(ctx, p, keep)
	if ctx.Err() != nil {
		return nil, exit(exitCannot, errors.New("interrupted; nothing was written"))
	}
	d.course = incident.CourseOf(d.now, &d.got.Incident, d.got.Timeline, d.seen)
	return d, nil
}

// read views the records of the incident's time and checks.
func (d *dossier) read(ctx context.Context, p process, keep bool) {
	in := &d.got.Incident
	targets := agent.TargetsOf(d.cfg)
	viewer := incident.NewViewer(d.now, in, incident.Concerned(in, d.got.Timeline, targets), incident.Beside(in, targets))
	each := func(r *checks.Record) {
		viewer.Add(r)
		if keep && viewer.Wants(r) && len(d.took) < mostRecords {
			d.took = append(d.took, *r)
		}
	}
	if d.client != nil {
		d.lack = d.client.EachRecord(ctx, in.ID, each)
	} else {
		d.lack = agent.SeenRecords(ctx, d.cfg, p.getenv, in, each)
	}
	if d.lack != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "warning: %v; what they would tell is not known\n", d.lack)
		}
		return
	}
	d.seen = viewer.Seen()
}

// source is who told.
func (d *dossier) source() string {
	if d.client != nil {
		return "the running agent"
	}
	return "the store"
}

// idArgument takes one id, and says what may stand for it.
func idArgument(cmd *cobra.Command) {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return errors.New("want one incident: its id, the beginning of it, or latest; `windsock incident list` names them")
		}
		return nil
	}
	cmd.ValidArgs = []string{agent.Latest}
}
