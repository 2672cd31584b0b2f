"""Every setting of the installation, in one file. Read by name with its unit; documented in `.env.example`."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONCE, SELF
from csp.constants import NONE as NOBODY
from django.utils.crypto import salted_hmac

from gateway import client_address, secrets
from gateway.env import env, read_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent
DOTENV_NAMES = read_dotenv(BASE_DIR / ".env")
for _name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
    if os.environ.get(_name) == "":
        del os.environ[_name]  # OpenSSL takes an empty one for «trust nobody»

# -- where things live -------------------------------------------------------------------------------------------------

VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
DATABASE_URL = env.str("DATABASE_URL", "")
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", 10)
REDIS_URL = env.str("REDIS_URL", "")
IS_EMBEDDED = not DATABASE_URL
SPOOL_DIR = VAR_DIR / "spool"
COUNTERS_FILE = VAR_DIR / "counters.sqlite3"

# -- secrets -----------------------------------------------------------------------------------------------------------

_secrets = secrets.load(
    VAR_DIR / "secrets.toml",
    given={name: env.str(name, "") for name in secrets.NAMES},
    create=IS_EMBEDDED,
)
MISSING_SECRETS = _secrets.missing
# Placeholders only so far that `manage.py check` can say what is missing (gateway.E001); nothing starts with them.
SECRET_KEY = _secrets.secret_key or "missing"
CREDENTIAL_KEY = _secrets.credential_key
KEY_HASH_KEY = _secrets.key_hash_key

# -- Django ------------------------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "gateway.apps.DashboardConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework_simplejwt.token_blacklist",
    "axes",
    "providers.apps.ProvidersConfig",
    "analytics.apps.AnalyticsConfig",
    "routing.apps.RoutingConfig",
    "alerts.apps.AlertsConfig",
    "terminal.apps.TerminalConfig",
    "gateway.apps.GatewayConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "gateway.middleware.PagesMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "gateway.middleware.audit_origin",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Serves the admin's files straight from the packages: no collectstatic step stands between clone and dashboard.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True

# -- database, cache, sessions -----------------------------------------------------------------------------------------

SQLITE_OPTIONS: dict[str, Any] = {
    # A deferred transaction that reads and then writes after another writer fails at once, whatever the time-out.
    "transaction_mode": "IMMEDIATE",
    "timeout": 10,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=10000; "
    # Else INSERT OR REPLACE removes rows without a word to the triggers.
    "PRAGMA recursive_triggers=ON",
}


# Compiling a report's 90 sums takes longer than adding them up, and workers bring as much as starting them takes, for
# twice the processor's time. A random page costs about what the next one does on any disk of this decade.
POSTGRES_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"


def _database() -> dict[str, Any]:
    config: dict[str, Any] = dict(env.dj_db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'gateway.sqlite3'}"))
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = SQLITE_OPTIONS
    else:
        # Under ASGI a persistent connection leaks one per request thread; the pool replaces it.
        config["CONN_MAX_AGE"] = 0
        options = config.get("OPTIONS", {})
        config["OPTIONS"] = options | {
            # What the URL says comes last, and holds.
            "options": f"{POSTGRES_OPTIONS} {options.get('options', '')}".strip(),
            # Each try to connect again waits twice as long as the last; giving up, it starts anew with who asks next.
            "pool": {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 5, "reconnect_timeout": 5},
        }
    return config


DATABASES = {"default": _database()}

if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL}}
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    SESSION_ENGINE = "django.contrib.sessions.backends.db"

# -- security ----------------------------------------------------------------------------------------------------------

# The dashboard of an embedded installation is reached over plain HTTP, where browsers refuse secure cookies.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", not IS_EMBEDDED)
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("TRUST_X_FORWARDED_PROTO", False) else None
TRUSTED_PROXIES = client_address.trusted(env.list("TRUSTED_PROXIES", []))
"""Networks of the proxies whose `X-Forwarded-For` is believed: for API keys that are held to addresses, for the
audit trail, and for the brake on guessing passwords."""
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    # Answers in JSON load nothing.
    "EXCLUDE_URL_PREFIXES": ("/v1/", "/health"),
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NOBODY],
        "base-uri": [NOBODY],
        "form-action": [SELF],
        "frame-ancestors": [NOBODY],
    },
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# -- signing in: docs/signing-in.md ------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["analytics.guessing.CountingBackend"]
AXES_HANDLER = "analytics.guessing.Attempts"
AXES_FAILURE_LIMIT = 5
"""Wrong passwords for a user name from an address; then both together are locked out."""
AXES_COOLOFF_TIME = timedelta(minutes=15)
"""For so long; and so long after the last of them they are forgotten."""
ADDRESS_FAILURE_LIMIT = 100
"""Wrong passwords from an address, whatever the names."""
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "gateway.client_address.counted"
AXES_LOCKOUT_CALLABLE = "gateway.locked_out.answer"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "HS256",
    # A key of its own: what signs tokens signs nothing else.
    "SIGNING_KEY": salted_hmac("gateway.user_tokens", "HS256", secret=SECRET_KEY, algorithm="sha256").hexdigest(),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    # A changed password ends tokens as it ends sessions.
    "CHECK_REVOKE_TOKEN": True,
}

# -- other sites' pages ------------------------------------------------------------------------------------------------

CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = r"^/(v1/|health)"
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "user-agent",
    "x-gateway-layer",
    "x-gateway-max-attempts",
    "x-gateway-max-cost",
    "x-gateway-timeout-ms",
    "x-session-id",
]
CORS_EXPOSE_HEADERS = [
    "retry-after",
    "x-gateway-attempts",
    "x-gateway-capped",
    "x-gateway-cost-usd",
    "x-gateway-layer",
    "x-gateway-model",
    "x-gateway-provider",
    "x-gateway-request-id",
    "x-gateway-score",
    "x-gateway-warnings",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
]

# -- API ---------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "gateway.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["gateway.api.authentication.IsCallerOrUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["gateway.api.bodies.JsonObjectParser"],
    "EXCEPTION_HANDLER": "gateway.api.errors.handle",
    "DEFAULT_SCHEMA_CLASS": "gateway.api.schema.document.Described",
    # `?format=` is a parameter as any other: views that know it read it, those that check theirs refuse it by name.
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "AI MCP Gateway",
    "VERSION": "v1",
    "DESCRIPTION": "One address in front of many language models. Every failure is OpenAI's error object; a method "
    "that an address does not have is 405.",
    "LICENSE": {"name": "MIT"},
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["gateway.api.schema.document.finished"],
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
}

MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 20 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
BODY_READ_TIMEOUT_S = env.float("BODY_READ_TIMEOUT_S", 30.0)
"""Seconds a client may take to send its request body."""
MAX_IN_FLIGHT = env.int("MAX_IN_FLIGHT", 10_000)
"""Chat requests that one worker has at once. So many streams take 20,000 of the 65,536 descriptors that `serve` asks
for (where fewer are allowed, fewer requests are taken) and some 450 MB (docs/performance.md)."""
MAX_BODIES_BYTES = env.int("MAX_BODIES_BYTES", 512 * 1024 * 1024)
"""The most that their bodies may hold of one worker's memory: each is kept until its request has ended."""

STOP_ANNOUNCE_S = env.float("STOP_ANNOUNCE_S", 0.0)
"""Seconds that a server which is told to stop still takes requests while /health/ready says 503: for load balancers."""
STOP_GRACE_S = env.float("STOP_GRACE_S", 8.0)
"""Seconds that open requests may go on after that."""

COMMIT_AFTER_S = env.float("COMMIT_AFTER_S", 20.0)
"""Seconds without content after which a stream begins all the same, and is kept alive by comments."""
KEEP_ALIVE_S = env.float("KEEP_ALIVE_S", 30.0)
"""Seconds that a connection to a provider is kept for the next request when nobody uses it; 0: not at all."""

# -- routing and ledger ------------------------------------------------------------------------------------------------

SNAPSHOT_POLL_S = env.float("SNAPSHOT_POLL_S", 0.5)
"""Seconds between two looks at the configuration's version; a change is in force within about twice that."""
SNAPSHOT_MAX_AGE_S = env.float("SNAPSHOT_MAX_AGE_S", 300.0)
"""Seconds the gateway goes on with the last configuration it saw when the database is gone."""
SPOOL_FSYNC = env.bool("SPOOL_FSYNC", False)
"""Whether a spool line survives a power loss (0.2 to 1.1 ms each, by the disk), not only a killed process (3 us)."""
DRAIN_EVERY_S = env.float("DRAIN_EVERY_S", 0.25)
"""Seconds between two batches from the spool to the database."""
USAGE_KEEP_DAYS = env.int("USAGE_KEEP_DAYS", 400)
"""Days that rows of the ledger are kept, 0 for good; roll-ups of days stay when their rows are gone."""
COUNTERS_DEADLINE_S = env.float("COUNTERS_DEADLINE_S", 0.05)
"""Seconds that limits and budgets wait for their counters; then limits are open and budgets refuse."""
RATE_WINDOW_S = env.float("RATE_WINDOW_S", 60.0)
"""Seconds that limits «per minute» look back. For tests: anything but 60 makes their name a lie."""
BUDGET_LAYER_CHECK = "routing.patterns.layer_mistake"
"""What says whether a budget may degrade to a layer: `analytics` knows no layers."""
LOCAL_MODEL_PORT = env.int("LOCAL_MODEL_PORT", 3009)

# -- Celery ------------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", REDIS_URL or "filesystem://")
CELERY_IS_EMBEDDED = CELERY_BROKER_URL.startswith("filesystem:")
CELERY_QUEUE_DIR = VAR_DIR / "celery"
if CELERY_IS_EMBEDDED:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(CELERY_QUEUE_DIR),
        "data_folder_out": str(CELERY_QUEUE_DIR),
        "control_folder": str(CELERY_QUEUE_DIR / "control"),
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
OLD_FILES_AFTER_DAYS = env.int("OLD_FILES_AFTER_DAYS", 14)
PROBE_WITHIN_S = 10.0
"""Seconds in which all providers that were out of reach are asked whether they are back."""
CELERY_BEAT_SCHEDULE = {
    "clear-old-files": {"task": "gateway.tasks.clear_old_files", "schedule": 3600.0},
    "tidy-usage": {"task": "gateway.tasks.tidy_usage", "schedule": 3600.0},
    # One that comes too late is followed by the next: no more than one waits where no worker runs.
    "probe-providers": {"task": "gateway.tasks.probe_providers", "schedule": 30.0, "options": {"expires": 25.0}},
}

# -- logging -----------------------------------------------------------------------------------------------------------

# Nothing below prints them, and gathering them costs (Python's logging HOWTO, "Optimization").
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
setattr(logging, "_srcfile", None)  # noqa: B010 - the documented way not to walk the stack for every line
LOG_LEVEL = env.log_level("LOG_LEVEL", logging.INFO)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "gateway.log_lines.LineFormatter"}},
    "filters": {"plain": {"()": "gateway.log_lines.WithoutTraceback"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.request": {"filters": ["plain"]},
    },
}
