"""One fault each: what to replace in the sample, and how the message begins after the file's name."""

from __future__ import annotations

from tests.cleanroom.agreement.samples import SAMPLE

BLOCKS = SAMPLE[SAMPLE.index("[[metrics]]") : SAMPLE.index('[[metrics]]\nname = "known"')]
CREDIT = ('cap = "2000.00"', 'cap = "2000.00"\nattribution = "credit"')

SUPPRESSED = [
    ('"gaussian"', '"none"'),
    ("epsilon = 2.0\ndelta = 1e-6\n", ""),
    ("min_people = 50", 'min_people = 50\ndifferences = "suppress"'),
]


def exposure(lines: str) -> list[tuple[str, str]]:
    return [('["mail"]', f'["mail"]\n{lines}')]


def metric(lines: str, *, cap: str = '"2000.00"') -> list[tuple[str, str]]:
    return [('cap = "2000.00"', f"cap = {cap}\n{lines}")]


def labelled(column: str, values: str) -> list[tuple[str, str]]:
    return [('"CNY"', f'"CNY"\n[[outcome.labels]]\ncolumn = "{column}"\nvalues = {values}\n')]


REFUSALS: dict[str, tuple[list[tuple[str, str]], str]] = {
    # the file
    "not TOML": ([("version = 1", "version = ")], "is not valid TOML"),
    "key twice": ([("version = 1", "version = 1\nversion = 1")], "is not valid TOML"),
    # the top
    "unknown key": ([("version = 1", "version = 1\ncolour = 2")], "colour: unknown key"),
    "unknown section": ([("[match]", "[matches]")], "matches: unknown key"),
    "unknown key that is not printable": ([("version = 1", 'version = 1\n"a\\nb" = 2')], r"'a\nb': unknown key"),
    "section missing": ([('[match]\nidentifiers = ["id"]\n', "")], "match: is missing: expected a table"),
    "section is a text": (
        [('[match]\nidentifiers = ["id"]\n', ""), ("version = 1", 'version = 1\nmatch = "id"')],
        "match: expected a table",
    ),
    "another version": ([("version = 1", "version = 2")], "version: expected 1"),
    "version as text": ([("version = 1", 'version = "1"')], "version: expected an integer, found a text"),
    "version as boolean": ([("version = 1", "version = true")], "version: expected an integer, found a boolean"),
    "name missing": ([('name = "complete-journey-2017"\n', "")], "name: is missing: expected a text"),
    "name a number": ([('name = "complete-journey-2017"', "name = 1")], "name: expected a text, found an integer"),
    "purpose empty": ([('"Measure store purchases after direct-mail campaigns"', '""')], "purpose: expected 1 to"),
    "purpose with a directional mark": ([("Measure store", "Measure \\u202e store")], "purpose: expected printable"),
    "valid_until a time": ([("= 2027-12-31", "= 2027-12-31T00:00:00Z")], "valid_until: expected a date, found a time"),
    "expired": ([("2027-12-31", "2027-05-31")], "valid_until: the agreement expired on 2027-05-31"),
    # parties
    "one party": (
        [('[parties.shop]\nrole = "outcome"\ncertificate = "shop.crt"\n', "")],
        "parties: expected two parties, found 1",
    ),
    "three parties": (
        [("[match]", '[parties.third]\nrole = "outcome"\ncertificate = "shop.crt"\n[match]')],
        "parties: expected two parties, found 3",
    ),
    "both exposure": ([('role = "outcome"', 'role = "exposure"')], "parties: expected one exposure and one outcome"),
    "role unknown": ([('role = "outcome"', 'role = "buyer"')], "parties.shop.role: expected one of exposure, outcome"),
    "role missing": ([('role = "outcome"\n', "")], "parties.shop.role: is missing"),
    "party's name": ([("[parties.shop]", '[parties."a/b"]')], "parties: a party's name is a letter"),
    "unknown key of a party": (
        [('certificate = "shop.crt"', 'certificate = "shop.crt"\nkey = "x"')],
        "parties.shop.key: unknown key",
    ),
    "certificate missing": ([('certificate = "shop.crt"\n', "")], "parties.shop.certificate: is missing"),
    "certificate a number": ([('"shop.crt"', "1")], "parties.shop.certificate: expected a text, found an integer"),
    "certificate's file missing": ([('"shop.crt"', '"none.crt"')], "parties.shop.certificate: "),
    "certificate is a folder": ([('"shop.crt"', '"."')], "parties.shop.certificate: "),
    "certificate's path has a NUL": ([('"shop.crt"', '"a\\u0000b"')], "parties.shop.certificate: "),
    "certificate is the agreement": (
        [('"shop.crt"', '"agreement.toml"')],
        "parties.shop.certificate: expected exactly one certificate",
    ),
    "certificate is a key": (
        [('"shop.crt"', '"identity-shop/shop.key"')],
        "parties.shop.certificate: holds a private key",
    ),
    "inline PEM broken": (
        [('"shop.crt"', '"""-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"""')],
        "parties.shop.certificate: is not a certificate",
    ),
    "same certificate twice": ([('"shop.crt"', '"media.crt"')], "parties: both parties have the same certificate"),
    "party's threshold": (
        [('certificate = "shop.crt"', 'certificate = "shop.crt"\nmin_people = 0')],
        "parties.shop.min_people: expected an integer from 1",
    ),
    # match
    "no identifier": ([('identifiers = ["id"]', "identifiers = []")], "match.identifiers: expected at least one entry"),
    "identifiers not a list": (
        [('identifiers = ["id"]', 'identifiers = "id"')],
        "match.identifiers: expected a list of texts or tables, found a text",
    ),
    "identifier twice": (
        [('["id"]', '["phone", {type = "phone", rule = "national"}]')],
        "match.identifiers: phone is there",
    ),
    "version of an id": (
        [('["id"]', '[{type = "id", version = "20230330"}]')],
        "match.identifiers[1].version: belongs to",
    ),
    "version of four digits": (
        [('["id"]', '[{type = "caid", version = "2023"}]')],
        "match.identifiers[1].version: expected eight digits",
    ),
    "identifier unknown": ([('["id"]', '["name"]')], "match.identifiers[1].type: expected one of phone"),
    "rule for oaid": ([('["id"]', '[{type = "oaid", rule = "upper"}]')], "match.identifiers[1].rule: oaid has none"),
    "identifier a number": ([('["id"]', "[1]")], "match.identifiers[1]: expected a table"),
    "rule of another type": (
        [('["id"]', '[{type = "email", rule = "e164"}]')],
        "match.identifiers[1].rule: expected one of lower, gmail",
    ),
    "rule for id": ([('["id"]', '[{type = "id", rule = "lower"}]')], "match.identifiers[1].rule: id has none"),
    "country for email": (
        [('["id"]', '[{type = "email", country = "CN"}]')],
        "match.identifiers[1].country: belongs to phone",
    ),
    "country unknown": (
        [('["id"]', '[{type = "phone", country = "XX"}]')],
        "match.identifiers[1].country: expected one of CN, HK, JP, KR, MO, SG, TW, US, found 'XX'",
    ),
    "hash unknown": (
        [('["id"]', '[{type = "phone", hash = "sha1"}]')],
        "match.identifiers[1].hash: expected one of md5, sha256",
    ),
    "identifier's unknown key": (
        [('["id"]', '[{type = "phone", salt = "x"}]')],
        "match.identifiers[1].salt: unknown key",
    ),
    "share above one": (
        [("[time]", "[time]\n"), ('["id"]', '["id"]\nmax_invalid = 1.5')],
        "match.max_invalid: expected a share",
    ),
    "share not a number": ([('["id"]', '["id"]\nmax_invalid = nan')], "match.max_invalid: expected a finite number"),
    # time
    "time without offset": (
        [("start = 2017-01-01T00:00:00Z", "start = 2017-01-01T00:00:00")],
        "time.start: expected a time with an offset",
    ),
    "time as text": (
        [("start = 2017-01-01T00:00:00Z", 'start = "2017-01-01"')],
        "time.start: expected a time with offset, found a text",
    ),
    "time as date": (
        [("start = 2017-01-01T00:00:00Z", "start = 2017-01-01")],
        "time.start: expected a time with offset, found a date",
    ),
    "end before start": (
        [("end = 2018-01-01T00:00:00Z", "end = 2017-01-01T00:00:00Z")],
        "time.end: expected a time after",
    ),
    "resolution unknown": ([('"1d"', '"1w"')], "time.resolution: expected one of 1d, 1h, 1m, found '1w'"),
    "horizon too long": (
        [('"1d"', '"1m"'), ("end = 2018-01-01T00:00:00Z", "end = 9999-01-01T00:00:00Z")],
        "time.end: expected at most",
    ),
    "zone unknown": ([('"1d"', '"1d"\nzone = "Asia/Nowhere"')], "time.zone: no time zone 'Asia/Nowhere'"),
    "zone a folder": ([('"1d"', '"1d"\nzone = "Asia"')], "time.zone: no time zone 'Asia'"),
    "zone a path": ([('"1d"', '"1d"\nzone = "../../etc/passwd"')], "time.zone: no time zone"),
    "tree without 1": ([('"1d"', '"1d"\ntree = [2,4]')], "time.tree: expected a chain that begins with 1"),
    "tree empty": ([('"1d"', '"1d"\ntree = []')], "time.tree: expected a chain that begins with 1"),
    "tree not a chain": (
        [('"1d"', '"1d"\ntree = [1,4,6]')],
        "time.tree: expected a chain of divisors, found 6 after 4",
    ),
    "tree repeats": ([('"1d"', '"1d"\ntree = [1,2,2]')], "time.tree: expected a chain of divisors, found 2 after 2"),
    "tree of texts": ([('"1d"', '"1d"\ntree = [1,"2"]')], "time.tree[2]: expected an integer, found a text"),
    "tree with zero": ([('"1d"', '"1d"\ntree = [1,0]')], "time.tree[2]: expected an integer from 1"),
    # exposure
    "no event": ([('events = ["mail"]', "events = []")], "exposure.events: expected at least one text"),
    "events a text": (
        [('events = ["mail"]', 'events = "mail"')],
        "exposure.events: expected a list of texts, found a text",
    ),
    "event twice": ([('events = ["mail"]', 'events = ["mail", "mail"]')], "exposure.events: 'mail' is there twice"),
    "touches begin too early": (
        [('events = ["mail"]', 'events = ["mail"]\nstart = 2016-12-31T00:00:00Z')],
        "exposure.start: lies outside [time.start, time.end)",
    ),
    "touches begin too late": (
        [('events = ["mail"]', 'events = ["mail"]\nstart = 2018-01-01T00:00:00Z')],
        "exposure.start: lies outside [time.start, time.end)",
    ),
    "touches end too late": ([("2017-12-01", "2018-01-02")], "exposure.end: expected a time after exposure.start"),
    "touches end before they begin": (
        [('events = ["mail"]', 'events = ["mail"]\nstart = 2017-12-01T00:00:00Z')],
        "exposure.end: expected a time after exposure.start",
    ),
    "no instant": ([('["mail"]', '["mail"]\ninstants = []')], "exposure.instants: expected at least one time"),
    "instant outside the touch period": (
        [('["mail"]', '["mail"]\ninstants = [2017-12-01T00:00:00Z]')],
        "exposure.instants: a time lies outside [exposure.start, exposure.end)",
    ),
    "instant before the period": (
        [('["mail"]', '["mail"]\ninstants = [2016-12-31T23:59:59Z, 2017-02-01T00:00:00Z]')],
        "exposure.instants: a time lies outside",
    ),
    "instant twice": (
        [('["mail"]', '["mail"]\ninstants = [2017-02-01T00:00:00Z, 2017-02-01T08:00:00+08:00]')],
        "exposure.instants: the same time is there twice",
    ),
    "instant naive": (
        [('["mail"]', '["mail"]\ninstants = [2017-02-01T00:00:00]')],
        "exposure.instants[1]: expected a time with an offset",
    ),
    "group column missing": ([('group_by = "campaign_id"\n', "")], "exposure.group_by: is missing"),
    "no group": ([('["1", "2", "3"]', "[]")], "exposure.groups: expected at least one text"),
    "group twice": ([('["1", "2", "3"]', '["1", "2", "1"]')], "exposure.groups: '1' is there twice"),
    "group a number": ([('["1", "2", "3"]', '["1", 2]')], "exposure.groups[2]: expected a text, found an integer"),
    "group with spaces": ([('["1", "2", "3"]', '["1 "]')], "exposure.groups[1]: expected 1 to"),
    "anchor unknown": (
        [('["mail"]', '["mail"]\nanchor = "linear"')],
        "exposure.anchor: expected one of first_touch, last_touch",
    ),
    "credit rule unknown": ([('["mail"]', '["mail"]\ncredit = "all"')], "exposure.credit: expected one of last_touch"),
    # outcome
    "no outcome event": ([('events = ["order"]', "events = []")], "outcome.events: expected at least one text"),
    "currency": ([('"CNY"', '"yuan"')], "outcome.currency: expected three capital letters"),
    "currency without value": ([('value = "amount"\n', "")], "outcome.currency: needs outcome.value"),
    "precision without value": (
        [('value = "amount"\ncurrency = "CNY"', 'precision = "0.01"')],
        "outcome.precision: needs outcome.value",
    ),
    "precision of a half": ([('"CNY"', '"CNY"\nprecision = "0.5"')], "outcome.precision: expected 1, 0.1, 0.01"),
    "precision too fine": ([('"CNY"', '"CNY"\nprecision = "0.0000000001"')], "outcome.precision: expected 1, 0.1"),
    "precision signed": ([('"CNY"', '"CNY"\nprecision = "-1"')], "outcome.precision: expected a plain decimal"),
    "labels as texts": ([('"CNY"', '"CNY"\nlabels = ["new"]')], "outcome.labels[1]: expected a table"),
    "label without values": (labelled("customer", "[]"), "outcome.labels[1].values: expected at least one text"),
    "label value twice": (labelled("customer", '["a", "a"]'), "outcome.labels[1].values: 'a' is there twice"),
    "label with a standard name": (labelled("event_id", '["a"]'), "outcome.labels[1].column: 'event_id' is the name"),
    "label on the money column": (labelled("amount", '["a"]'), "outcome.labels[1].column: 'amount' is the name"),
    "label on an identifier": (labelled("phone", '["a"]'), "outcome.labels[1].column: 'phone' is the name"),
    "five labels": (
        [('"CNY"', '"CNY"' + "".join(f'\n[[outcome.labels]]\ncolumn="c{n}"\nvalues=["a"]' for n in range(5)))],
        "outcome.labels: expected at most 4 labels, found 5",
    ),
    # credit, bands, breakdowns
    "step without decay": (exposure('credit = "linear"\ncredit_step = "1d"'), "exposure.credit_step: goes with"),
    "step of no ticks": (
        exposure('credit = "time_decay"\ncredit_step = "12h"'),
        "exposure.credit_step: '12h' is not a whole number of ticks of 1d",
    ),
    "touches without credit": (exposure("max_touches = 3"), "exposure.max_touches: needs exposure.credit"),
    "too many touches to share": (
        exposure('credit = "position"\nmax_touches = 17'),
        "exposure.max_touches: expected an integer from 1 to 16, found 17",
    ),
    "priority without credit": (exposure('priority = [["mail"]]'), "exposure.priority: needs exposure.credit"),
    "priority of an unknown event": (
        exposure('credit = "linear"\npriority = [["mail"], ["click"]]'),
        "exposure.priority: 'click' is not in exposure.events (mail)",
    ),
    "priority twice": (
        exposure('credit = "linear"\npriority = [["mail"], ["mail"]]'),
        "exposure.priority: 'mail' is there twice",
    ),
    "priority not of lists": (
        exposure('credit = "linear"\npriority = ["mail"]'),
        "exposure.priority[1]: expected a list of texts",
    ),
    "no priority": (exposure('credit = "linear"\npriority = []'), "exposure.priority: expected at least one list"),
    "bands that fall": (exposure("frequency = [1, 4, 2]"), "exposure.frequency: expected 1 to 64 ascending"),
    "a band twice": (exposure("frequency = [1, 1]"), "exposure.frequency: expected 1 to 64 ascending"),
    "no band": (exposure("frequency = []"), "exposure.frequency: expected 1 to 64 ascending"),
    "band from nothing": (exposure("frequency = [0, 2]"), "exposure.frequency[1]: expected an integer from 1"),
    "by an unknown label": (metric('by = "tier"'), "metrics[gmv_30d].by: 'tier' is not the column of one of"),
    "via an unknown event": (
        metric('via = ["click"]'),
        "metrics[gmv_30d].via: 'click' is not in exposure.events (mail)",
    ),
    "via nothing": (metric("via = []"), "metrics[gmv_30d].via: expected at least one text"),
    "another period": (metric('period = "during"'), "metrics[gmv_30d].period: expected one of after, before"),
    "credit before": (
        [*metric('attribution = "credit"\nperiod = "before"'), *exposure('credit = "linear"')],
        "metrics[gmv_30d].period: credit is earned after touches only",
    ),
    "decay without a step": (
        [CREDIT, *exposure('credit = "time_decay"')],
        "metrics[gmv_30d].attribution: time_decay needs exposure.credit_step",
    ),
    "matched by": (
        [('measure = "matched"', 'measure = "matched"\nby = "tier"')],
        'metrics[known].by: does not go with measure = "matched"',
    ),
    "a name for two columns": (
        [
            *labelled("tier", '["a"]'),
            ('cap = "2000.00"', 'cap = "2000.00"\nby = "tier"'),
            ('name = "known"', 'name = "gmv_30d[tier=a]"'),
        ],
        "metrics: two columns would have the name 'gmv_30d[tier=a]'",
    ),
    "more columns than a row may have": (
        [*labelled("tier", str([f"v{n}" for n in range(600)])), ('cap = "2000.00"', 'cap = "2000.00"\nby = "tier"')],
        "metrics: 1203 columns with labels, thresholds and their parts, expected at most 1024",
    ),
    "credit that passes 63 bits": (
        [*metric('attribution = "credit"', cap='"200000000.00"'), *exposure('credit = "linear"')],
        "metrics[gmv_30d].cap: protocol.max_rows times the cap, times the credit's fixed-point unit",
    ),
    # metrics
    "metric without name": ([('name = "known"\n', "")], "metrics[4].name: is missing"),
    "metric twice": ([('"known"', '"buyers_15d"')], "metrics[4].name: 'buyers_15d' is there twice"),
    "metric like a gate": (
        [('"known"', '"gate_order_7d"')],
        "metrics[gate_order_7d].name: names that begin with gate_",
    ),
    "metric's unknown key": ([('"known"', '"known"\nmax = 3')], "metrics[known].max: unknown key"),
    "metric with a strange name": ([('"known"', '"a\\nb"')], "metrics[4].name: expected printable"),
    "measure unknown": (
        [('"matched"', '"reach"')],
        "metrics[known].measure: expected one of people, events, sum, matched",
    ),
    "matched with window": ([('"matched"', '"matched"\nwindow = "1d"')], "metrics[known].window: does not go with"),
    "matched with event": ([('"matched"', '"matched"\nevent = "order"')], "metrics[known].event: does not go with"),
    "matched with cap": ([('"matched"', '"matched"\ncap = 1')], "metrics[known].cap: does not go with"),
    "event missing": (
        [('event = "order"\nmeasure = "people"', 'measure = "people"')],
        "metrics[buyers_15d].event: is missing",
    ),
    "event not declared": (
        [('event = "order"\nmeasure = "people"', 'event = "visit"\nmeasure = "people"')],
        "metrics[buyers_15d].event: 'visit' is not in outcome.events (order)",
    ),
    "window missing": (
        [('measure = "people"\nwindow = "15d"', 'measure = "people"')],
        "metrics[buyers_15d].window: is missing",
    ),
    "window without unit": ([('"30d"', '"30"')], "metrics[gmv_30d].window: expected a number and d, h or m"),
    "window of zero": ([('"30d"', '"0d"')], "metrics[gmv_30d].window: expected a number and d, h or m"),
    "window not whole ticks": (
        [('"30d"', '"36h"')],
        "metrics[gmv_30d].window: '36h' is not a whole number of ticks of 1d",
    ),
    "window in seconds": ([('"30d"', '"30s"')], "metrics[gmv_30d].window: expected a number and d, h or m"),
    "window too long": ([('"30d"', '"9999999999d"')], "metrics[gmv_30d].window: expected at most"),
    "window a number": ([('"30d"', "30")], "metrics[gmv_30d].window: expected a text, found an integer"),
    "cap missing for events": (
        [("cap = 40\n", "")],
        'metrics[orders_15d].cap: is missing: measure = "events" needs a cap',
    ),
    "cap missing for sum": (
        [('cap = "2000.00"\n', "")],
        'metrics[gmv_30d].cap: is missing: measure = "sum" needs a cap',
    ),
    "cap for people": (
        [('measure = "people"', 'measure = "people"\ncap = 1')],
        "metrics[buyers_15d].cap: does not go with",
    ),
    "cap of zero events": ([("cap = 40", "cap = 0")], "metrics[orders_15d].cap: expected an integer from 1"),
    "cap of half an event": (
        [("cap = 40", "cap = 0.5")],
        "metrics[orders_15d].cap: expected an integer, found a number",
    ),
    "cap of zero money": ([('"2000.00"', '"0.00"')], "metrics[gmv_30d].cap: expected an amount above 0"),
    "cap negative": ([('"2000.00"', '"-1"')], "metrics[gmv_30d].cap: expected a plain decimal number"),
    "cap negative as a number": ([('"2000.00"', "-1.0")], "metrics[gmv_30d].cap: expected an amount above 0"),
    "cap with an exponent": ([('"2000.00"', '"2e3"')], "metrics[gmv_30d].cap: expected a plain decimal number"),
    "cap finer than precision": ([('"2000.00"', '"2000.001"')], "metrics[gmv_30d].cap: expected a multiple of"),
    "cap much finer": ([('"2000.00"', f'"2000.{"0" * 30}1"')], "metrics[gmv_30d].cap: expected a multiple of"),
    "cap enormous": ([('"2000.00"', "1e999999999")], "metrics[gmv_30d].cap: expected a finite number"),
    "cap infinite": ([('"2000.00"', "inf")], "metrics[gmv_30d].cap: expected a finite number"),
    "sum without value": ([('value = "amount"\ncurrency = "CNY"\n', "")], "metrics[gmv_30d].measure: a sum needs"),
    "attribution unknown": (
        [('cap = "2000.00"', 'cap = "2000.00"\nattribution = "last"')],
        "metrics[gmv_30d].attribution: expected one of window, credit",
    ),
    "credit without a rule": ([CREDIT], "metrics[gmv_30d].attribution: credit needs exposure.credit"),
    "people credited": (
        [('measure = "people"', 'measure = "people"\nattribution = "credit"')],
        "metrics[buyers_15d].attribution: people cannot be credited",
    ),
    "metrics a table": (
        [
            ('[[metrics]]\nname = "known"\nmeasure = "matched"\n', ""),
            (BLOCKS, ""),
            ("[release]", '[metrics]\nname = "x"\n[release]'),
        ],
        "metrics: expected a list of tables, found a table",
    ),
    "too many metrics": (
        [
            (
                "[release]",
                "".join(f'[[metrics]]\nname = "n{number}"\nmeasure = "matched"\n' for number in range(253))
                + "[release]",
            )
        ],
        "metrics: expected at most 256, found 257",
    ),
    # release
    "noise unknown": ([('"gaussian"', '"uniform"')], "release.noise: expected one of gaussian, laplace, none"),
    "differences with noise": (
        [("min_people = 50", 'min_people = 50\ndifferences = "suppress"')],
        'release.differences: goes with noise = "none" only',
    ),
    "differences with credit": (
        [*SUPPRESSED, CREDIT, *exposure('credit = "linear"')],
        "release.differences: suppress is built for matched people and windows of all touches alone, not for ",
    ),
    "differences with labels": (
        [*SUPPRESSED, *labelled("tier", '["a"]'), ('cap = "2000.00"', 'cap = "2000.00"\nby = "tier"')],
        "release.differences: suppress is built for matched people and windows of all touches alone, not for ",
    ),
    "differences with via": (
        [*SUPPRESSED, ('["mail"]', '["mail", "click"]'), *metric('via = ["click"]')],
        "release.differences: suppress is built for matched people and windows of all touches alone, not for ",
    ),
    "differences with a period before": (
        [*SUPPRESSED, *metric('period = "before"')],
        "release.differences: suppress is built for matched people and windows of all touches alone, not for ",
    ),
    "differences unknown": (
        [("min_people = 50", 'min_people = 50\ndifferences = "hide"')],
        "release.differences: expected one of release, suppress",
    ),
    "epsilon missing": ([("epsilon = 2.0\n", "")], "release.epsilon: is missing"),
    "epsilon zero": ([("epsilon = 2.0", "epsilon = 0")], "release.epsilon: expected a number from 1e-06 to 1000"),
    "epsilon negative": (
        [("epsilon = 2.0", "epsilon = -2.0")],
        "release.epsilon: expected a number from 1e-06 to 1000",
    ),
    "epsilon tiny": ([("epsilon = 2.0", "epsilon = 9e-7")], "release.epsilon: expected a number from 1e-06 to 1000"),
    "epsilon huge": ([("epsilon = 2.0", "epsilon = 1001")], "release.epsilon: expected a number from 1e-06 to 1000"),
    "epsilon without any figure": (
        [("epsilon = 2.0", "epsilon = 1e-6"), ("delta = 1e-6", "delta = 1e-40"), ('"2000.00"', '"1000000000.00"')],
        "metrics[gmv_30d].cap: protocol.max_rows times the cap",
    ),
    "epsilon infinite": ([("epsilon = 2.0", "epsilon = inf")], "release.epsilon: expected a finite number"),
    "epsilon a text": ([("epsilon = 2.0", 'epsilon = "2"')], "release.epsilon: expected a number, found a text"),
    "epsilon a boolean": ([("epsilon = 2.0", "epsilon = true")], "release.epsilon: expected a number, found a boolean"),
    "delta missing": ([("delta = 1e-6\n", "")], "release.delta: is missing"),
    "delta zero": ([("delta = 1e-6", "delta = 0.0")], "release.delta: expected a number above 0 and below 0.1"),
    "delta a tenth": ([("delta = 1e-6", "delta = 0.1")], "release.delta: expected a number above 0 and below 0.1"),
    "delta one": ([("delta = 1e-6", "delta = 1")], "release.delta: expected a number above 0 and below 0.1"),
    "threshold missing": ([("min_people = 50\n", "")], "release.min_people: is missing"),
    "threshold zero": ([("min_people = 50", "min_people = 0")], "release.min_people: expected an integer from 1"),
    "no group for a person": (
        [("max_groups_per_person = 2", "max_groups_per_person = 0")],
        "release.max_groups_per_person: expected an integer from 1",
    ),
    "no windows": (
        [("max_groups_per_person = 2", "max_windows = 0")],
        "release.max_windows: expected an integer from 1",
    ),
    "no recipient": (
        [('recipients = ["media", "shop"]', "recipients = []")],
        "release.recipients: expected at least one text",
    ),
    "recipient unknown": (
        [('["media", "shop"]', '["media", "brand"]')],
        "release.recipients: 'brand' is not one of the parties media, shop",
    ),
    "recipient twice": ([('["media", "shop"]', '["media", "media"]')], "release.recipients: 'media' is there twice"),
    # protocol
    "profile unknown": ([("[protocol]", '[protocol]\nprofile = "psi"')], "protocol.profile: expected one of ecdh"),
    "rows missing": ([("exposure = 16384, ", "")], "protocol.max_rows.exposure: is missing"),
    "rows zero": (
        [("exposure = 16384", "exposure = 0")],
        "protocol.max_rows.exposure: expected an integer from 1 to 16777216, found 0",
    ),
    "rows too many": (
        [("outcome = 1000000", "outcome = 16777217")],
        "protocol.max_rows.outcome: expected an integer from 1 to 16777216, found 16777217",
    ),
    "rows of a third side": (
        [("exposure = 16384", "exposure = 16384, other = 1")],
        "protocol.max_rows.other: unknown key",
    ),
    "overflow": (
        [("cap = 40", "cap = 4611686018427387904")],
        "metrics[orders_15d].cap: protocol.max_rows times the cap",
    ),
}
