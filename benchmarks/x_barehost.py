"""driver(): bare host against the real plugin process"""
import socket,subprocess,sys,os,msgpack
class P:
    def __init__(s):
        a,b=socket.socketpair()
        env=dict(os.environ,PLUGIN_HOST_COOKIE="1",PLUGIN_HOST_RUN="x/y/1")
        import benchmarks
        d=os.path.join(os.path.dirname(benchmarks.__file__),"plugin")
        env["PYTHONPATH"]=d
        s.p=subprocess.Popen([sys.executable,"-P","-c","import sys;sys.path.append(%r);from plugin_host_sdk.__main__ import main; main()"%d,"benchmark_plugin:plugin"],stdin=b,stdout=b,env=env) 
        b.close(); s.pid=s.p.pid; s.s=a
        s.u=msgpack.Unpacker(max_buffer_size=1<<26); s.pack=msgpack.Packer().pack; s.fed=0; s.id=0
        a.sendall(s.pack([0,0x706C7567,"initialize",[{"protocols":[1],"host":{"name":"x","version":"1"},"plugin":"benchmark","limits":{},"features":[],"settings":{},"permissions":[]}]]))
        s.buf=bytearray(65536); s.v=memoryview(s.buf)
        r=s.wait(None); 
    def call(s,payload):
        s.id+=1
        s.s.sendall(s.pack([0,s.id,"command.call",[{"name":"echo","params":{"payload":payload}}]]))
        return s.wait(None)
    def wait(s,t):
        while True:
            if s.u.tell()<s.fed:
                try: return s.u.unpack()[3]
                except msgpack.OutOfData: pass
            n=s.s.recv_into(s.buf)
            if not n: raise EOFError
            s.u.feed(s.v[:n]); s.fed+=n
    def close(s): s.s.close(); s.p.wait(5)
def driver():
    from benchmarks.blocking_driver import BlockingDriver
    return BlockingDriver(P)
