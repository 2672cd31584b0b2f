-- needs: _start _money
-- ARGV[3..]: token, source, its lines.
if marked() ~= ARGV[3] then return 0 end
redis.call('HSET', TOLD, ARGV[4], ARGV[5])
return 1
