package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/store"
)

// DiskUse is what a schedule is going to keep on the disk.
type DiskUse struct {
	RecordsPerDay int64   `json:"records_per_day"`
	BytesPerDay   int64   `json:"bytes_per_day"`
	Measured      bool    `json:"measured"`  // by the records of the store; else by what records of each kind have as a rule
	Binds         string  `json:"binds"`     // what drops the oldest records first: max_age or max_size
	KeptDays      float64 `json:"kept_days"` // how far back the records go then
	MaxAgeDays    float64 `json:"max_age_days"`
	MaxSize       int64   `json:"max_size_bytes"`
	Most          int64   `json:"most_bytes"` // what the state directory takes then, while nothing breaks
	Directory     string  `json:"directory,omitempty"`
	Used          int64   `json:"used_bytes,omitempty"`
	Free          int64   `json:"free_bytes,omitempty"` // of the file system; 0 where the directory is not there yet
	NoRoom        string  `json:"no_room,omitempty"`    // why it does not fit
}

const (
	inPages     = 1.2      // what records take of pages that they do not fill
	perRecord   = 200      // bytes of a record beside its JSON: columns and indexes
	perPaidRun  = 400      // bytes of the ledger, for the two days in which runs stand one by one
	besideStore = 14 << 20 // bytes at most of log, spare file, mark, and of what comes between two looks at the size
	fewest      = 20       // records of a check, before their average says something
)

// assumed is the size of a record of each kind as JSON, in bytes, where the store does not tell: as measured with the
// simulator, rounded up.
func assumed(kind string) float64 {
	switch kind {
	case "chat":
		return 4000
	case "embeddings":
		return 3200
	case "models", "usable", "prometheus", "spend":
		return 2500
	}
	return 1200
}

// assumedAgent is that of the agent's own state.
func assumedAgent(checks int) float64 { return 3500 + 250*float64(checks) }

// DiskOf foresees what the schedule of cfg keeps on the disk. It reads the state directory where there is one, and changes
// nothing.
func DiskOf(ctx context.Context, cfg *config.Config, getenv func(string) string) DiskUse {
	use := DiskUse{MaxAgeDays: cfg.Store.MaxAge.Hours() / 24, MaxSize: cfg.Store.MaxSize}
	var sample store.Sample
	if dir, err := StateDir(cfg, getenv); err == nil && isDir(dir) {
		use.Directory = absolute(dir)
		sample, _ = store.TakeSample(ctx, dir) // without one there are assumptions
		use.Used = sample.Total
		use.Free, _ = store.FreeBytes(dir)
	}
	paid := use.add(cfg, &sample)
	bytes := float64(use.BytesPerDay)
	use.Binds, use.KeptDays = "max_age", use.MaxAgeDays
	fixed := float64(paid) * 2 * perPaidRun
	if room := max(0, float64(cfg.Store.MaxSize)-fixed); bytes > 0 && room/bytes < use.MaxAgeDays {
		use.Binds, use.KeptDays = "max_size", room/bytes
	}
	use.Most = min(int64(bytes*use.KeptDays+fixed), cfg.Store.MaxSize) + besideStore
	if grows := use.Most - use.Used; use.Free > 0 && grows > use.Free {
		use.NoRoom = fmt.Sprintf("the state directory may grow by %d MiB, and %s has %d MiB free: make room, or lower store.max_size or store.max_age",
			grows>>20, use.Directory, use.Free>>20)
	}
	return use
}

// add counts what every check and the agent itself store in a day, and returns the runs that may cost money.
func (d *DiskUse) add(cfg *config.Config, sample *store.Sample) (paid int64) {
	byKind, runs := kindsOf(cfg, sample), map[string]fullest{}
	var bytes float64
	for i := range cfg.Checks {
		check := &cfg.Checks[i]
		n, known := runs[check.Schedule.String()]
		if !known {
			n = runsOf(check)
			runs[check.Schedule.String()] = n
		}
		size := assumed(check.Kind)
		if kind := byKind[check.Kind]; kind.Records >= fewest {
			size, d.Measured = kind.Bytes, true
		}
		if own := sample.Checks[check.Name]; own.Records >= fewest {
			size = own.Bytes
		}
		d.RecordsPerDay += n.day
		bytes += float64(n.day) * (size*inPages + perRecord)
		if check.Provider != "" {
			paid += n.day
		}
	}
	if cfg.Snapshot > 0 {
		n := int64(24 * time.Hour / cfg.Snapshot)
		size := assumedAgent(len(cfg.Checks))
		if sample.Agent.Records >= fewest {
			size = sample.Agent.Bytes
		}
		d.RecordsPerDay += n
		bytes += float64(n) * (size*inPages + perRecord)
	}
	d.BytesPerDay = int64(bytes)
	return paid
}

// kindsOf are the averages of each kind of check that the file has.
func kindsOf(cfg *config.Config, sample *store.Sample) map[string]store.Average {
	kinds := map[string]store.Average{}
	for i := range cfg.Checks {
		own, kind := sample.Checks[cfg.Checks[i].Name], kinds[cfg.Checks[i].Kind]
		if n := own.Records + kind.Records; n > 0 {
			kind.Bytes = (own.Bytes*float64(own.Records) + kind.Bytes*float64(kind.Records)) / float64(n)
			kind.Records = n
		}
		kinds[cfg.Checks[i].Kind] = kind
	}
	return kinds
}
