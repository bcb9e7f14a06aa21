package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// fileDrills break, swap and remove files.
func fileDrills() []drill {
	return []drill{
		{
			name: "modes-broken", fault: "the modes file is no TOML; mended, it says canary 100%", short: true,
			shows: "hotpath_shim_modes_reload_errors_total; the last good modes stay",
			setup: setup{sidecar: rig.Supervise}, strike: writeModes("default = \"sidecar"),
			seen: metrics(func(before, now view) bool {
				const name = "hotpath_shim_modes_reload_errors_total"
				return now.value(name, nil) > before.value(name, nil) && now.Modes == before.Modes
			}),
			checks: stillForwards, mend: writeModes("default = \"canary 100%\"\n"),
			back: metrics(func(_, now view) bool { return allIn(now, "canary") }),
		},
		{
			name: "configmap", fault: "a ConfigMap that takes everything back is swapped in, as Kubernetes does", short: true,
			shows: "hotpath_shim_mode is legacy for all methods", rounds: 2,
			setup: setup{sidecar: rig.Supervise, prepare: mountConfigMap}, strike: swapConfigMap(rig.Legacy),
			seen: metrics(func(_, now view) bool { return allIn(now, rig.Legacy) }),
			mend: swapConfigMap(rig.SidecarMode), back: metrics(func(_, now view) bool { return allIn(now, rig.SidecarMode) }),
		},
		{
			name: "settings-broken", fault: "the sidecar's settings break, and it is killed", short: true,
			shows: "hotpath_shim_sidecar_given_up, and exit code 78 in the log",
			setup: setup{sidecar: rig.Supervise, prepare: writeSettings("threads = 1\n"), env: func(s *stage) ([]string, error) {
				return []string{"HOTPATHD_CONFIG=" + s.path("hotpathd.toml")}, nil
			}},
			strike: steps(writeSettings("threads = \"none\"\n"), signal(syscall.SIGKILL)),
			seen: all(logged("exit_code=78"), metrics(func(_, now view) bool {
				return now.value("hotpath_shim_sidecar_given_up", nil) == 1
			})),
			mend: writeSettings("threads = 1\n"),
			back: metrics(func(before, now view) bool {
				return now.value("hotpath_shim_sidecar_given_up", nil) == 0 && wellAgain(before, now)
			}),
		},
		{
			name: "socket-removed", fault: "the sidecar's socket is removed, and then its connections are lost (SIGSTOP)",
			shows: "\"no sidecar\" in the log",
			setup: setup{sidecar: rig.Supervise}, strike: steps(removeSocket, signal(syscall.SIGSTOP)),
			seen: logged("no sidecar: "), checks: signal(syscall.SIGCONT),
			back: all(logged("its socket is gone"), metrics(func(before, now view) bool {
				return restarted(1)(before, now) && wellAgain(before, now)
			})),
		},
	}
}

// allIn says whether all methods are in a mode.
func allIn(now view, mode rig.Mode) bool {
	for _, one := range now.Modes {
		if one != mode {
			return false
		}
	}
	return true
}

func writeModes(content string) step {
	return func(_ context.Context, s *stage) error { return replace(s.modes, content) }
}

func writeSettings(content string) step {
	return func(_ context.Context, s *stage) error { return replace(s.path("hotpathd.toml"), content) }
}

// replace writes a file beside another and renames it into its place.
func replace(path, content string) error {
	return errors.Join(os.WriteFile(path+".new", []byte(content), 0o644), os.Rename(path+".new", path))
}

// stillForwards checks that the sidecar goes on answering.
func stillForwards(ctx context.Context, s *stage) error {
	before, err := s.view(ctx)
	if err != nil {
		return err
	}
	return s.await(ctx, "the sidecar is asked although the modes file is broken", s.works(), before)
}

// mountConfigMap makes the modes file as a volume of Kubernetes has it: modes.toml -> ..data/modes.toml, where ..data is a
// link to a folder with a version.
func mountConfigMap(ctx context.Context, s *stage) error {
	volume := s.path("config")
	if err := os.MkdirAll(volume, 0o755); err != nil {
		return err
	}
	s.modes = filepath.Join(volume, "modes.toml")
	return errors.Join(swapConfigMap(rig.SidecarMode)(ctx, s), os.Symlink(filepath.Join("..data", "modes.toml"), s.modes))
}

// swapConfigMap puts a new version in the place of the old one, by the rename of ..data, and removes the old one.
func swapConfigMap(mode rig.Mode) step {
	return func(_ context.Context, s *stage) error {
		volume := s.path("config")
		data := filepath.Join(volume, "..data")
		old, _ := os.Readlink(data)
		version, err := os.MkdirTemp(volume, "..version-")
		if err != nil {
			return err
		}
		if err := rig.WriteModes(filepath.Join(version, "modes.toml"), mode); err != nil {
			return err
		}
		fresh := filepath.Join(volume, "..data_tmp")
		if err := errors.Join(os.Symlink(filepath.Base(version), fresh), os.Rename(fresh, data)); err != nil {
			return fmt.Errorf("ConfigMap: %w", err)
		}
		if old == "" {
			return nil
		}
		return os.RemoveAll(filepath.Join(volume, old))
	}
}

func removeSocket(_ context.Context, s *stage) error { return os.Remove(s.socket()) }
