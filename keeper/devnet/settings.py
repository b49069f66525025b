"""A keeper configuration file for a world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from keeper.devnet.layout import Layout, Venue
from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsOptions:
    """What a world does not know by itself; None leaves the key out. Addresses may hold access keys: never shown."""

    rpc_urls: Sequence[str] = field(default=(), repr=False)
    ws_url: str | None = field(default=None, repr=False)
    executor: Address | None = None
    keystore: Path | None = None
    password_file: Path | None = None
    state_path: Path | None = None
    min_profit_usd: str = "1"
    sizing: str | None = None
    requests_per_second: int | None = None
    heartbeat_s: int | None = None
    policy: Mapping[str, str | int] | None = None


def config_toml(layout: Layout, options: SettingsOptions) -> str:
    """Return the TOML that points the keeper at this world; without a keystore the key comes from the environment."""
    native = next((asset.token for asset in layout.market.assets if asset.spec.wrapped_native), None)
    signer: dict[str, object] = (
        {"keystore": options.keystore, "password_file": options.password_file}
        if options.keystore
        else {"allow_env_key": True}
    )
    tables = [
        toml_table(
            "[chain]",
            id=layout.chain_id,
            rpc_urls=list(options.rpc_urls),
            ws_url=options.ws_url,
            wrapped_native=native,
            requests_per_second=options.requests_per_second,
        ),
        toml_table("[signer]", **signer),
        toml_table(
            "[[markets]]",
            name=layout.market.kind,
            protocol="aave-v3",
            addresses_provider=layout.market.addresses_provider,
            start_block=layout.market.start_block,
        ),
        *(_venue_table(venue) for venue in layout.venues),
        toml_table("[policy]", min_profit_usd=options.min_profit_usd, sizing=options.sizing, **(options.policy or {})),
    ]
    if options.executor is not None:
        tables.append(toml_table("[executor]", address=options.executor))
    if layout.morpho is not None:
        tables.append(toml_table("[funding]", morpho=layout.morpho))
    if options.state_path is not None:
        tables.append(toml_table("[state]", path=options.state_path))
    if options.heartbeat_s is not None:
        tables += [
            toml_table("[[feeds]]", token=asset.token, heartbeat_s=options.heartbeat_s)
            for asset in layout.market.assets
        ]
    return "\n".join(tables)


def _venue_table(venue: Venue) -> str:
    return toml_table(
        "[[venues]]",
        protocol=venue.protocol,
        factory=venue.factory,
        router=venue.router,
        quoter=venue.quoter,
        fee_tiers=list(venue.fee_tiers) or None,
    )


def toml_table(title: str, **values: object) -> str:
    """Return one table of a TOML file under `title`, such as `[chain]`; values that are None are left out."""
    lines = [f"{key} = {_literal(value)}" for key, value in values.items() if value is not None]
    return "\n".join([title, *lines, ""])


def _literal(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case list():
            return "[" + ", ".join(_literal(item) for item in value) + "]"
        case _:
            text = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{text}"'
