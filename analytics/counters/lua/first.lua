-- needs: _start _money
-- ARGV[3]: an account's name.
return redis.call('HSETNX', MONEY, 'f:' .. ARGV[3], text(now))
