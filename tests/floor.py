"""The floors of both packages, as data: which module lives where and what it may look down on.

A module may import its own wing (never in a circle) and the wings its wing names. A name covers
the module and, for a package, everything inside it. ``""`` is the package's own ``__init__``. A new
module is put into the wing whose idea it is part of; if there is none, that is worth a thought.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wing:
    """A few modules with one idea; all names are separated by blanks."""

    modules: str
    below: str = ""
    sdk: str = ""
    """Wings of the sdk that a wing of the host may import."""

    def covers(self, inner: str) -> bool:
        """Whether the module called ``inner`` inside its package lives here."""
        if not inner:
            return "''" in self.modules.split()
        return any(inner == name or inner.startswith(f"{name}.") for name in self.modules.split())


SDK = {
    "ground": Wing(
        "errors trunk sessionerror actionerror metadataerror"
        " excerpt protocol version tracecontext forkorder"
    ),
    # What is asked of the kernel, on both sides.
    "system": Wing("ownproc"),
    "core": Wing("wire frame stray window events stream lane handshake legality", below="ground"),
    "connection": Wing("connection alone", below="ground core"),
    # What authors write against: beside the core, not on top of it.
    "types": Wing("types", below="ground"),
    "author": Wing(
        "plugin command bundle exec metadata action endpoint later sink parameter annotation context"
        " cancellation reconfiguration loopside forkedchild",
        below="ground system types",
    ),
    "runtime": Wing("runtime", below="ground core connection types author"),
    "testing": Wing("testing", below="ground core connection types author runtime"),
    "entry": Wing("__main__", below="ground types author runtime"),
    "package": Wing("''", below="ground types author runtime testing"),
}

HOST = {
    # Also how a process ended, as plain data: exceptions carry it.
    "ground": Wing(
        "errors version exitstatus death ring weight subscription undertaking fork",
        sdk="ground",
    ),
    # The host's end of the wire to a child: where processes and links touch.
    "channel": Wing("channel", below="ground"),
    # What is counted, as plain numbers, and the trace that calls are part of.
    "metric": Wing("metric trace", below="ground", sdk="ground"),
    # Pids, pipes and signals; no protocol.
    "process": Wing(
        "environment stderr skim reaper process diagnosis tree processtable sparedescriptor ladder"
        " executable processors admission keeper dumpfile threadstate machine cgroup usage consumption"
        " account access errand enclosure currenttask",
        below="ground channel",
        sdk="system",
    ),
    # How values of the wire are written as JSON.
    "notation": Wing("notation", sdk="core"),
    # Messages over a wire that nobody is to be trusted on; a link may stand on it and is not known here.
    "seal": Wing("seal", below="ground channel description", sdk="ground"),
    # The protocol; no processes.
    "link": Wing(
        "link lonecall eagerness asker callfuture wakeup linkowner gatherer reply writer patience holdback"
        " deadline stream outbound echo readroom"
        # The same for several threads.
        " unsent askedlink sharedlink sharedwriter sharedstream exclusion waiter standby bell signalhold",
        below="ground channel",
        sdk="ground core connection",
    ),
    # What plugins and operators write down, as types; how it is read, checked and explained.
    "description": Wing(
        "manifest constraint candidate configuration document explanation wording schema override trust"
        " permission settings schemacheck",
        below="ground",
        sdk="ground types",
    ),
    # How local sockets come to be, who made them and who connects; knows no protocol.
    "socket": Wing(
        "localsocket socketfolder peer peerrule entrance runtimefolder activation readiness",
        below="ground description process",
    ),
    # Their signatures name candidates and configurations.
    "hook": Wing("hookspecs", below="ground description"),
    "discovery": Wing(
        "entry_point installed shelf scancache distribution folder checksum discovery extension search",
        below="ground description hook",
        sdk="ground types",
    ),
    # What keeps a plugin to itself: decided and looked up before anything of it runs.
    "isolation": Wing(
        "isolation sandbox installation bubblewrap bytecode",
        below="ground description process",
    ),
    # Processes of the host's own interpreter, forked from one that has everything loaded.
    "warm": Wing("warm", below="ground channel process", sdk="ground"),
    "supervision": Wing(
        "state event plugin service servicethread facility journal launchspec launchfailure launch"
        " launching precondition obituary custody engagement instance restart idleness retirement"
        " laziness offer admittance supervisor vitals standstill health vigil stack dumptext hangcause hang"
        " intervention"
        " limit verdict shim confinement"
        " inquiry command batch bundle traffic joint exec metadata task action reconfiguration flood"
        " floodgate logbook level"
        " failuremap eventmap measurement hostnote",
        below="ground metric description hook channel process warm link discovery isolation",
        sdk="ground core connection types",
    ),
    "host": Wing(
        "host homeloop sync span",
        below="ground metric description hook channel process warm link discovery isolation supervision",
        sdk="ground core connection types",
    ),
    # How the numbers of a host are told to others.
    "exposition": Wing("exposition metricsport", below="ground metric"),
    # Looks at everything that a host depends on, and runs none.
    "checkup": Wing(
        "checkup",
        below="ground description socket hook channel process discovery isolation supervision control"
        " listener",
        sdk="ground system",
    ),
    "control": Wing(
        "control",
        below="ground seal metric exposition description socket notation hook channel process link"
        " discovery isolation supervision host",
        sdk="ground core connection types",
    ),
    # HTTP for the guests that work on tasks; knows tasks and sessions, and no host.
    "guest": Wing("guest", below="ground description socket link supervision", sdk="ground types"),
    # JSON for any program; knows the host as embedders do.
    "listener": Wing("listener", below="ground description notation socket supervision host", sdk="ground"),
    "cli": Wing(
        "cli __main__",
        below="ground seal metric exposition description notation socket hook channel process link"
        " discovery isolation supervision host control listener checkup",
        sdk="ground core types",
    ),
    "package": Wing(
        "''",
        below="ground metric exposition description hook discovery isolation supervision host listener",
        sdk="types",
    ),
}

SANS_IO = "ground core connection"
"""Wings of the sdk that sleep never, call nobody and know no clock."""

BARRED_FROM_SANS_IO = "asyncio logging os select selectors signal socket subprocess threading time"

SOLE_IMPORTERS = {
    ("plugin_host_sdk", "msgpack"): "wire",
    ("plugin_host", "msgpack"): "",
    ("plugin_host", "psutil"): "processtable",
    ("plugin_host", "jsonschema"): "schemacheck.check",
    ("plugin_host", "referencing"): "schemacheck.check",
    ("plugin_host", "click"): "cli",
    ("plugin_host", "cryptography"): "seal.codec",
    ("plugin_host", "starlette"): "guest",
    ("plugin_host", "uvicorn"): "guest",
    ("plugin_host", "websockets"): "guest",
    ("plugin_host", "rich"): "cli",
    ("plugin_host", "prometheus_client"): "exposition",
    ("plugin_host", "opentelemetry"): "span host sync.host",
    ("plugin_host_sdk", "opentelemetry"): "runtime.span",
}
"""Who alone may import what: (package, import) to names as in ``Wing.modules``."""
