"""Just enough of the IPVS netlink family to be a yardstick: fill the table in batches, ask for one service's servers.

Message layout: linux/netlink.h, linux/genetlink.h, linux/ip_vs.h. Native byte order, attributes padded to four bytes.
"""

import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
NEW_SERVICE, NEW_DEST, GET_DEST = 1, 5, 8
CMD_SERVICE, CMD_DEST = 1, 2
SVC_AF, SVC_PROTOCOL, SVC_ADDR, SVC_PORT, SVC_SCHED, SVC_FLAGS, SVC_TIMEOUT, SVC_NETMASK = 1, 2, 3, 4, 6, 7, 8, 9
DEST_ADDR, DEST_PORT, DEST_FWD, DEST_WEIGHT, DEST_U_THRESH, DEST_L_THRESH, DEST_AF = 1, 2, 3, 4, 5, 6, 11
BATCH = 256


def attribute(kind, data, nested=False):
    size = 4 + len(data)
    return struct.pack("=HH", size, kind | (0x8000 if nested else 0)) + data + bytes(-size % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3FFF] = data[4:size]
        data = data[(size + 3) & ~3:]
    return found


class Ipvs:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((0, 0))
        self.serial = 0
        payload = attribute(CTRL_ATTR_FAMILY_NAME, b"IPVS\0")
        self.socket.send(self.message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK, payload))
        self.family = struct.unpack("=H", attributes(self.answers()[0][4:])[CTRL_ATTR_FAMILY_ID])[0]

    def message(self, kind, command, flags, payload):
        self.serial += 1
        body = struct.pack("=BBH", command, 1, 0) + payload
        return struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, self.serial, 0) + body

    def answers(self):
        """Payloads up to the acknowledgement (or the end of a dump); an error is raised."""
        found = []
        while True:
            data = self.socket.recv(1 << 20)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if kind == NLMSG_ERROR:
                    code = struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(-code, "netlink")
                    return found
                if kind == NLMSG_DONE:
                    return found
                found.append(body)

    @staticmethod
    def service(address, port):
        return attribute(CMD_SERVICE, b"".join((
            attribute(SVC_AF, struct.pack("=H", socket.AF_INET)),
            attribute(SVC_PROTOCOL, struct.pack("=H", socket.IPPROTO_TCP)),
            attribute(SVC_ADDR, socket.inet_aton(address)),
            attribute(SVC_PORT, struct.pack("!H", port)),
            attribute(SVC_SCHED, b"wrr\0"),
            attribute(SVC_FLAGS, struct.pack("=II", 0, 0xFFFFFFFF)),
            attribute(SVC_TIMEOUT, struct.pack("=I", 0)),
            attribute(SVC_NETMASK, b"\xff\xff\xff\xff"))), nested=True)

    @staticmethod
    def server(address, port, weight):
        return attribute(CMD_DEST, b"".join((
            attribute(DEST_ADDR, socket.inet_aton(address)),
            attribute(DEST_PORT, struct.pack("!H", port)),
            attribute(DEST_FWD, struct.pack("=I", 0)),
            attribute(DEST_WEIGHT, struct.pack("=I", weight)),
            attribute(DEST_U_THRESH, struct.pack("=I", 0)),
            attribute(DEST_L_THRESH, struct.pack("=I", 0)),
            attribute(DEST_AF, struct.pack("=H", socket.AF_INET)))), nested=True)

    def batches(self, table):
        """The messages that make `table`, {(address, port): [(address, port, weight)]}, ready to be sent."""
        messages = []
        for (address, port), servers in table.items():
            service = self.service(address, port)
            messages.append((NEW_SERVICE, service))
            messages += [(NEW_DEST, service + self.server(*s)) for s in servers]
        for start in range(0, len(messages), BATCH):
            part = messages[start:start + BATCH]
            yield b"".join(self.message(self.family, command, NLM_F_ACK if i == len(part) - 1 else 0, payload)
                           for i, (command, payload) in enumerate(part))

    def weights(self, address, port):
        """{server address: weight} of one service."""
        self.socket.send(self.message(self.family, GET_DEST, NLM_F_DUMP, self.service(address, port)))
        found = {}
        for body in self.answers():
            server = attributes(attributes(body[4:])[CMD_DEST])
            found[socket.inet_ntoa(server[DEST_ADDR][:4])] = struct.unpack("=I", server[DEST_WEIGHT])[0]
        return found
