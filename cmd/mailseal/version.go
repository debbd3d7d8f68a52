package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

func versionCommand() command {
	return command{
		name:  "version",
		args:  "[-json]",
		short: "which mailseal this is",
		long:  "Prints the version, the revision that it was built from, and with which Go.",
		setup: func(fs *flag.FlagSet) runner {
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				v := readVersion()
				if *asJSON {
					return writeJSON(env.Stdout, v)
				}
				_, err := fmt.Fprintln(env.Stdout, v)
				return err
			}
		},
	}
}

// A version is what the binary knows of itself.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`     // of the revision
	Modified bool   `json:"modified,omitempty"` // built from files that differ from it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() version {
	v := version{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v version) String() string {
	s := "mailseal " + v.Version
	if v.Revision != "" {
		s += " revision " + v.Revision
	}
	if v.Modified {
		s += " modified"
	}
	return s + " " + v.Go + " " + v.Platform
}
